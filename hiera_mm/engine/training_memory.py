"""What training a config holds in memory, found without weights, data or a GPU.

A training step runs on torch's fake tensors, which know their size but hold nothing, while all that is allotted and
freed is counted. The losses of detectors, which depend on the data, are left out: their heads get as many regions as
are sampled.
"""

import copy
import sys
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

from hiera_mm.complexity import channels_of
from hiera_mm.errors import UserError
from hiera_mm.models import hiera
from hiera_mm.models.cpu import plain
from hiera_mm.models.hiera import Block

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

BATCHES = (64, 128)
"""At which memory is counted: of smaller ones the gradients of the weights would be the most."""

PERSONS = 4
"""In a clip of action detection, about."""


@dataclass(frozen=True)
class TrainingMemory:
    """Bytes of a training step in one process.

    Attributes:
        parameters: Their number.
        weights, gradients, optimizer: What all of each take.
        fixed, per_sample: What forward and backward pass take at their peak, with the gradients that are there by then:
            ``fixed + batch * per_sample``.
        in_transit: What several processes take beside: the gradients' copies that are sent, or weights put together.
    """

    parameters: int
    weights: int
    gradients: int
    optimizer: int
    fixed: int
    per_sample: int
    in_transit: int = 0

    def peak(self, batch: int) -> int:
        passes = max(self.gradients, self.fixed + batch * self.per_sample)
        return self.weights + self.optimizer + self.in_transit + passes

    def largest_batch(self, limit: float) -> int:
        """How many samples fit into ``limit`` bytes; 0 if none does."""
        left = limit - self.weights - self.optimizer - self.in_transit
        return max(0, int((left - self.fixed) // self.per_sample)) if left >= self.gradients else 0


def training_memory(
    config: Config, shape: Sequence[int], autocast: bool, with_cp: bool | Sequence[bool], fast_cpu: bool = False
) -> TrainingMemory:
    """Of one process that trains a config's model, with float32 weights.

    Args:
        config: Of any of this suite's models.
        shape: Height and width of an image or frame; of volumes the crops have a size.
        autocast: Half precision; fp16 and bf16 take the same.
        with_cp: As for :class:`hiera_mm.models.Hiera`.
        fast_cpu: With what makes the model faster on a CPU, and takes less memory there.

    Raises:
        UserError: for a config without a ``model.backbone``.
    """
    model = _on_meta(config, with_cp)
    peaks = []
    # Batches as large as those counted would be split by a real attention, which copies.
    whole = patch.object(hiera, 'MOST_GROUPS', sys.maxsize)
    with FakeTensorMode(allow_non_fake_inputs=True), whole, nullcontext() if fast_cpu else plain():
        model.to_empty(device='cpu')
        for batch in BATCHES:
            with AllottedMemory(model.parameters()) as memory:
                with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
                    loss = _step(model, config, batch, shape)
                loss.backward()
            peaks.append(memory.peak)
            model.zero_grad()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = _bytes_of_states(config, trained)
    weights = _bytes(model.parameters())
    per_sample = (peaks[1] - peaks[0]) // (BATCHES[1] - BATCHES[0])
    fixed = peaks[0] - BATCHES[0] * per_sample - weights
    count = sum(parameter.numel() for parameter in model.parameters())
    return TrainingMemory(count, weights, _bytes(trained), optimizer, fixed, per_sample)


def train_steps(
    config: Config, shape: Sequence[int], batch: int = 1, with_cp: bool | Sequence[bool] = False, steps: int = 2
) -> float:
    """Train a config's model on made-up samples on this machine, on its GPU if it has one.

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
            _step(model, config, batch, shape).backward()
            optimizer.step()
            optimizer.zero_grad()
            # Waits for the GPU.
            next(model.parameters()).sum().item()
    return time.perf_counter() - start


def in_several_processes(memory: TrainingMemory, config: Config, processes: int) -> TrainingMemory:
    """What each of several processes holds of a run that takes ``memory`` in one."""
    if processes == 1:
        return memory
    if config.get('runner_type') != 'FullyShardedRunner':
        return replace(memory, in_transit=memory.gradients)
    blocks = [_bytes(module.parameters()) for module in _on_meta(config, False).modules() if isinstance(module, Block)]
    # All but the blocks all the time, and of those one with its gradients and the next.
    together = memory.weights - sum(blocks) + 3 * max(blocks)
    parts = {name: getattr(memory, name) // processes for name in ('weights', 'gradients', 'optimizer')}
    return replace(memory, **parts, in_transit=together)


class AllottedMemory(TorchDispatchMode):
    """Counts the bytes of all tensors that operations make, as long as they live.

    Args:
        held: Tensors that are there from the start.

    Attributes:
        now, peak: Bytes.
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
    if 'panoptic_head' in model:
        raise UserError(
            f"The memory of '{config.filename}' can't be planned without numbers, as its loss chooses points by them; "
            'train a few iterations and read the log.'
        )
    # Mixup can't be made without numbers, and takes next to nothing.
    model.pop('data_preprocessor', None)
    model.backbone.update(init_cfg=None, with_cp=with_cp)
    with torch.device('meta'):
        return MODELS.build(model).train()


def _bytes_of_states(config: Config, trained: Sequence[nn.Parameter]) -> int:
    """Of the optimizer after a step, which follow from the shapes. Numbers are real: some optimizers look at them."""
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
    """Without groups of parameters, which change neither memory nor time."""
    return build_optim_wrapper(model, dict(optimizer=config.optim_wrapper.optimizer)).optimizer


def _step(model: Any, config: Config, batch: int, shape: Sequence[int]) -> Tensor:
    """A number that depends on all that a loss would depend on."""
    channels = channels_of(config.model)
    if 'input_size' in config.model:
        return model(torch.empty(batch, 1, channels, *config.model.input_size), mode='loss')['loss']
    if 'decoder' in config.model:
        crop = config.model.test_cfg.crop_size
        return _dice_and_entropy(model.logits(torch.empty(batch, channels, *crop)).float())
    frames = config.model.backbone.get('num_frames')
    pixels = torch.empty(batch, channels, *([frames] if frames else []), *shape)
    if 'decode_head' in config.model:
        return torch.stack([_loss_of_masks(logits) for logits in _logits_of_masks(model, pixels)]).sum()
    if 'neck' in config.model:
        outputs = _detector_outputs(model, config.model.train_cfg, pixels)
        return torch.stack([output.float().mean() for output in outputs]).sum()
    if 'roi_head' in config.model:
        maps = model.backbone(pixels)
        regions, _ = model.roi_head.bbox_roi_extractor(maps, torch.zeros(PERSONS * batch, 5))
        return model.roi_head.bbox_head(regions).float().mean()
    scores = model(pixels[:, None], stage='head')
    return model.cls_head.loss_cls(scores, torch.empty(scores.shape))


def _dice_and_entropy(logits: Tensor) -> Tensor:
    """What MONAI's loss holds; its own looks at numbers."""
    labels = torch.zeros(len(logits), *logits.shape[2:], dtype=torch.long)
    shares, truth = logits.softmax(dim=1), torch.zeros_like(logits).scatter_(1, labels[:, None], 1)
    return (truth * shares).sum() + truth.sum() + shares.sum() + nn.functional.cross_entropy(logits, labels)


def _logits_of_masks(model: Any, pixels: Tensor) -> Iterator[Tensor]:
    """Of each head, as large as the pictures, as which the loss takes them."""
    maps = model.extract_feat(pixels)
    for head in (model.decode_head, *_each(getattr(model, 'auxiliary_head', None))):
        yield nn.functional.interpolate(head(maps), pixels.shape[-2:], mode='bilinear')


def _loss_of_masks(logits: Tensor) -> Tensor:
    """Cross entropy, and the accuracy that is logged, for which a GPU sorts the many logits."""
    batch, _, height, width = logits.shape
    loss = nn.functional.cross_entropy(logits.float(), torch.zeros(batch, height, width, dtype=torch.long))
    return loss + 0 * logits.sort(dim=1).values.float().mean()


def _detector_outputs(model: Any, settings: ConfigDict, pixels: Tensor) -> list[Tensor]:
    pyramid = model.extract_feat(pixels)
    outputs = [part for level in model.rpn_head(pyramid) for part in level]
    stages = settings.rcnn if isinstance(settings.rcnn, list) else [settings.rcnn]
    for kind, share in (('bbox', 1.0), ('mask', stages[0].sampler.pos_fraction)):
        heads = getattr(model.roi_head, f'{kind}_head', None)
        extractors = getattr(model.roi_head, f'{kind}_roi_extractor', None)
        for number, head in enumerate(_each(heads)):
            regions = int(share * stages[number].sampler.num * len(pixels))
            found = head(_pooled(_each(extractors)[number], pyramid, regions))
            outputs += found if isinstance(found, tuple) else [found]
    return [output for output in outputs if output is not None]


def _pooled(extractor: Any, pyramid: Sequence[Tensor], regions: int) -> Tensor:
    """As many regions from each map, where the extractor would look at their sizes."""
    layers = extractor.roi_layers
    counts = [regions // len(layers)] * (len(layers) - 1)
    counts.append(regions - sum(counts))
    parts = [
        layer(stage_map.float(), torch.zeros(count, 5)).to(stage_map.dtype)
        for layer, stage_map, count in zip(layers, pyramid, counts, strict=False)
    ]
    return torch.cat(parts)


def _each(modules: nn.Module | None) -> list[nn.Module]:
    if modules is None:
        return []
    return list(modules) if isinstance(modules, nn.ModuleList) else [modules]


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
