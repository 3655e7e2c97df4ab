"""Computes the memory that training a config takes, without weights, data or a GPU.

A training step runs on torch's fake tensors, which have a size but no content, while allocations are counted. The
losses of detectors, which depend on the data, are left out: their heads get as many regions as are sampled.
"""

import copy
import sys
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

from hiera_mm.errors import UserError
from hiera_mm.models import hiera
from hiera_mm.models.cpu import plain
from hiera_mm.models.hiera import Block
from hiera_mm.replaced import replaced

import torch
import torch.nn as nn
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.optim import Optimizer
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

MEASURED_BATCHES = (64, 128)
"""Batch sizes at which memory is measured; with smaller ones the gradients of the weights would dominate."""


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step in one process.

    Attributes:
        parameters: Number of parameters.
        weights, gradients, optimizer: Bytes of each in total.
        fixed, per_sample: Peak of the forward and backward pass, including the gradients that exist by then:
            ``fixed + batch * per_sample``.
        in_transit: Extra bytes with several processes: copies of the gradients to send, or gathered weights.
    """

    parameters: int
    weights: int
    gradients: int
    optimizer: int
    fixed: int
    per_sample: int
    in_transit: int = 0

    def peak(self, batch: int) -> int:
        return self.weights + self.optimizer + self.in_transit + self.passes(batch)

    def passes(self, batch: int) -> int:
        """What the forward and the backward pass take at their peak."""
        return max(self.gradients, self.fixed + batch * self.per_sample)

    def largest_batch(self, limit: float) -> int:
        """How many samples fit into ``limit`` bytes."""
        left = limit - self.weights - self.optimizer - self.in_transit
        return max(0, int((left - self.fixed) // self.per_sample)) if left >= self.gradients else 0


class TrainedTask(Protocol):
    """The part of a task that measuring a training step needs."""

    def training_loss(self, model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor: ...


def training_memory(
    config: Config,
    task: TrainedTask,
    shape: Sequence[int],
    autocast: bool,
    with_cp: bool | Sequence[bool],
    fast_cpu: bool = False,
) -> TrainingMemory:
    """The memory of one process that trains a config's model, with float32 weights.

    Args:
        config: The config of the run.
        task: Its task.
        shape: Height and width of an image or frame; masked autoencoders and volumes have a size of their own.
        autocast: Half precision; fp16 and bf16 take the same.
        with_cp: As for :class:`hiera_mm.models.Hiera`.
        fast_cpu: Include the faster code for CPUs, which takes less memory there.

    Raises:
        UserError: for a config without a ``model.backbone``.
    """
    model = _on_meta(config, with_cp)
    peaks = []
    # Real attention would split batches this large, which makes copies.
    whole = replaced(hiera, 'MAX_GROUPS', sys.maxsize)
    with FakeTensorMode(allow_non_fake_inputs=True), whole, nullcontext() if fast_cpu else plain():
        model.to_empty(device='cpu')
        for batch in MEASURED_BATCHES:
            with AllocatedMemory(model.parameters()) as memory:
                with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
                    loss = task.training_loss(model, config.model, batch, shape)
                loss.backward()
            peaks.append(memory.peak)
            model.zero_grad()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = _optimizer_state_bytes(config, trained)
    weights = _bytes(model.parameters())
    per_sample = (peaks[1] - peaks[0]) // (MEASURED_BATCHES[1] - MEASURED_BATCHES[0])
    fixed = peaks[0] - MEASURED_BATCHES[0] * per_sample - weights
    count = sum(parameter.numel() for parameter in model.parameters())
    return TrainingMemory(count, weights, _bytes(trained), optimizer, fixed, per_sample)


def train_steps(
    config: Config,
    task: TrainedTask,
    shape: Sequence[int],
    batch: int = 1,
    with_cp: bool | Sequence[bool] = False,
    steps: int = 2,
) -> float:
    """Train a config's model on random samples on this machine, on its GPU if it has one.

    Returns:
        The seconds of the last step.
    """
    device = get_device()
    model = _on_meta(config, with_cp).to_empty(device=device)
    for tensor in model.state_dict().values():
        tensor.zero_()
    optimizer = _optimizer(model, config)
    with torch.device(device):
        for _ in range(steps):
            start = time.perf_counter()
            task.training_loss(model, config.model, batch, shape).backward()
            optimizer.step()
            optimizer.zero_grad()
            # Waits for the GPU.
            next(model.parameters()).sum().item()
    return time.perf_counter() - start


def in_several_processes(memory: TrainingMemory, config: Config, processes: int) -> TrainingMemory:
    """Memory of each of several processes for a run that takes ``memory`` in one."""
    if processes == 1:
        return memory
    if config.get('runner_type') != 'FullyShardedRunner':
        return replace(memory, in_transit=memory.gradients)
    blocks = [_bytes(module.parameters()) for module in _on_meta(config, False).modules() if isinstance(module, Block)]
    # Everything but the blocks stays gathered; of the blocks, one with its gradients and the next.
    together = memory.weights - sum(blocks) + 3 * max(blocks)
    parts = {name: getattr(memory, name) // processes for name in ('weights', 'gradients', 'optimizer')}
    return replace(memory, **parts, in_transit=together)


class AllocatedMemory(TorchDispatchMode):
    """Counts the bytes of all living tensors that operations create.

    Args:
        held: Tensors that exist from the start.

    Attributes:
        now, peak: Current and highest number of bytes.
    """

    def __init__(self, held: Iterable[Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.seen = WeakIdKeyDictionary()
        self._count(list(held))

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        output = func(*args, **(kwargs or {}))
        self._count(tree_leaves(output))
        return output

    def _count(self, made: Iterable[object]) -> None:
        for tensor in made:
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage()) not in self.seen:
                self.seen[storage] = True
                self.now += storage.nbytes()
                weakref.finalize(storage, self._free, storage.nbytes())
        self.peak = max(self.peak, self.now)

    def _free(self, count: int) -> None:
        self.now -= count


def _on_meta(config: Config, with_cp: bool | Sequence[bool]) -> nn.Module:
    model = copy.deepcopy(config.model)
    if 'backbone' not in model:
        raise UserError(f"'{config.filename}' has no model.backbone; name a config that trains a model.")
    # Mixup needs real values and takes hardly any memory.
    model.pop('data_preprocessor', None)
    model.backbone.update(init_cfg=None, with_cp=with_cp)
    with torch.device('meta'):
        return MODELS.build(model).train()


def _optimizer_state_bytes(config: Config, trained: Sequence[nn.Parameter]) -> int:
    """Bytes of the optimizer's states after a step, per shape of a parameter. Real tensors, since some optimizers read
    their values."""
    total = 0
    for shape, count in Counter(tuple(parameter.shape) for parameter in trained).items():
        alone = nn.ParameterList([torch.zeros(shape)])
        alone[0].grad = torch.zeros(shape)
        optimizer = _optimizer(alone, config)
        optimizer.step()
        states = [value for state in optimizer.state.values() for value in state.values()]
        total += count * _bytes(value for value in states if isinstance(value, Tensor))
    return total


def _optimizer(model: nn.Module, config: Config) -> Optimizer:
    """The optimizer without parameter groups, which change neither memory nor time."""
    return build_optim_wrapper(model, dict(optimizer=config.optim_wrapper.optimizer)).optimizer


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
