"""Training of models that are too large for one device's memory, by torch's ``fully_shard`` (FSDP2).

Each process holds a part of every weight, gradient and optimizer state; a block's weights are put together for its
forward and backward pass only. Checkpoints are whole, as any other run's.
"""

from typing import Any

from hiera_mm.models.hiera import Block

import torch
import torch.nn as nn
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map


@RUNNERS.register_module()
class FullyShardedRunner(Runner):
    """mmengine's ``Runner`` that trains with weights, gradients and optimizer states spread over all processes.

    A config asks for it by ``runner_type = 'FullyShardedRunner'``. With ``--amp`` (in bf16) blocks are put together and
    computed in that type, while the parts, gradients' means and steps stay in float32. One process trains as usual, and
    testing has whole models. Checkpoints go on with any number of processes, and with any other runner.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        # After what else changes a loaded checkpoint, before what looks at one to be saved.
        self.whole = WholeCheckpointHook()
        self.register_hook(self.whole, priority=80)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """The model as it is, as parts are made in place when training begins."""
        return model.to(get_device())

    def train(self) -> nn.Module:
        """As mmengine's. The weights are drawn or loaded before they are spread."""
        self.model.init_weights()
        if self.distributed:
            shard(self.model, _half_precision(self.cfg.optim_wrapper))
        return super().train()

    def save_checkpoint(self, *args, **kwargs) -> None:
        """As mmengine's; every process must call it."""
        self.whole.gather(self)
        super().save_checkpoint(*args, **kwargs)
        self.whole.forget()

    def _init_model_weights(self) -> None:
        """Done before; mmengine would send the first process's parts to all."""


class WholeCheckpointHook(Hook):
    """Puts the parts of all processes together in what is saved, and takes its own part from what is loaded."""

    content: dict[str, Any] = {}

    def gather(self, runner: Runner) -> None:
        """Put all parts together in the main process's memory; every process must call it."""
        if not _is_sharded(runner.model):
            return
        for module in runner.model.modules():
            if isinstance(module, FSDPModule):
                # After a validation nothing has taken them apart again.
                module.reshard()
        parts = dict(state_dict=runner.model.state_dict(), optimizer=runner.optim_wrapper.state_dict())
        self.content = tree_map(_whole, parts)

    def forget(self) -> None:
        self.content = {}

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint.update({key: value for key, value in self.content.items() if key in checkpoint})

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not _is_sharded(runner.model):
            return
        weights = checkpoint['state_dict']
        for name, own in runner.model.state_dict().items():
            if name in weights:
                weights[name] = _part(weights[name], own)
        if runner._resume:
            groups = runner.optim_wrapper.optimizer.param_groups
            states = checkpoint['optimizer']['state']
            for number, own in enumerate(parameter for group in groups for parameter in group['params']):
                if number in states:
                    states[number] = {key: _part(value, own) for key, value in states[number].items()}


def shard(model: nn.Module, dtype: torch.dtype | None = None) -> None:
    """Spread a model's parameters over all processes, in place.

    Args:
        model: The same in every process.
        dtype: Of the weights while they are put together, where it is not theirs.
    """
    mesh = init_device_mesh(torch.device(get_device()).type, (get_world_size(),))
    # Images stay as they are; what becomes of them is autocast's.
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for module in list(model.modules()):
        if isinstance(module, Block):
            fully_shard(module, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)


def _is_sharded(model: nn.Module) -> bool:
    return isinstance(model, FSDPModule)


def _half_precision(optim_wrapper: dict) -> torch.dtype | None:
    """bfloat16 under ``--amp`` in that type; gradients in fp16 must be scaled before they are summed, so it isn't."""
    if optim_wrapper.get('type') == 'AmpOptimWrapper' and optim_wrapper.get('dtype') == 'bfloat16':
        return torch.bfloat16
    return None


def _whole(value: object) -> object:
    if not isinstance(value, DTensor):
        return value
    with torch.no_grad():
        whole = value.full_tensor()
    return whole.cpu() if is_main_process() else None


def _part(value: object, own: Tensor) -> object:
    """This process's part of a whole tensor, as it has one of its ``own`` of the same shape."""
    if not isinstance(value, Tensor) or not isinstance(own, DTensor) or value.shape != own.shape:
        return value
    # Every process has read the file, so nothing is sent.
    return distribute_tensor(value.to(own.device), own.device_mesh, own.placements, src_data_rank=None)
