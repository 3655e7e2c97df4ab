"""Training of models that are too large for one device's memory, by torch's ``fully_shard`` (FSDP2).

Each process holds a part of every weight, gradient and optimizer state; a block's weights are gathered only for its
forward and backward pass. Checkpoints are complete, like those of any other run.
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

    Set ``runner_type = 'FullyShardedRunner'`` in a config to use it. With ``--amp`` (in bf16) blocks are gathered and
    computed in bf16, while the shards, gradient means and optimizer steps stay in float32. A single process trains as
    usual, and testing uses whole models. Checkpoints can be resumed with any number of processes and any other runner.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        # Runs after the hooks that change a loaded checkpoint and before those that inspect one to be saved.
        self.whole = WholeCheckpointHook()
        self.register_hook(self.whole, priority=80)

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Return the model unwrapped; it is sharded in place when training begins."""
        return model.to(get_device())

    def train(self) -> nn.Module:
        """Train as mmengine does; the weights are initialised or loaded before they are sharded."""
        self.model.init_weights()
        if self.distributed:
            shard(self.model, _half_precision(self.cfg.optim_wrapper))
        return super().train()

    def save_checkpoint(self, *args, **kwargs) -> None:
        """Save as mmengine does; every process must call it."""
        self.whole.gather(self)
        super().save_checkpoint(*args, **kwargs)
        self.whole.forget()

    def _init_model_weights(self) -> None:
        """Do nothing: :meth:`train` has done it, and mmengine would broadcast the first process's shards."""


class WholeCheckpointHook(Hook):
    """Gathers the shards of all processes for saving, and takes this process's shards from what is loaded."""

    content: dict[str, Any] = {}

    def gather(self, runner: Runner) -> None:
        """Gather all shards in the main process's memory; every process must call it."""
        if not _is_sharded(runner.model):
            return
        for module in runner.model.modules():
            if isinstance(module, FSDPModule):
                # After a validation the weights are still gathered.
                module.reshard()
        parts = dict(state_dict=runner.model.state_dict(), optimizer=runner.optim_wrapper.state_dict())
        self.content = tree_map(_gathered, parts)

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
                weights[name] = _shard_like(weights[name], own)
        if runner._resume:
            groups = runner.optim_wrapper.optimizer.param_groups
            states = checkpoint['optimizer']['state']
            for number, own in enumerate(parameter for group in groups for parameter in group['params']):
                if number in states:
                    states[number] = {key: _shard_like(value, own) for key, value in states[number].items()}


def shard(model: nn.Module, dtype: torch.dtype | None = None) -> None:
    """Shard a model's parameters over all processes, in place.

    Args:
        model: The model, the same in every process.
        dtype: Data type of the gathered weights; None for their own.
    """
    mesh = init_device_mesh(torch.device(get_device()).type, (get_world_size(),))
    # Autocast converts the inputs where needed.
    policy = MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for module in list(model.modules()):
        if isinstance(module, Block):
            fully_shard(module, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)


def _is_sharded(model: nn.Module) -> bool:
    return isinstance(model, FSDPModule)


def _half_precision(optim_wrapper: dict) -> torch.dtype | None:
    """bfloat16 for ``--amp`` in bf16. Gradients in fp16 must be scaled before they are summed, so fp16 is not used."""
    if optim_wrapper.get('type') == 'AmpOptimWrapper' and optim_wrapper.get('dtype') == 'bfloat16':
        return torch.bfloat16
    return None


def _gathered(value: object) -> object:
    if not isinstance(value, DTensor):
        return value
    with torch.no_grad():
        whole = value.full_tensor()
    return whole.cpu() if is_main_process() else None


def _shard_like(value: object, own: Tensor) -> object:
    """This process's shard of a whole tensor, sharded as its ``own`` tensor of the same shape."""
    if not isinstance(value, Tensor) or not isinstance(own, DTensor) or value.shape != own.shape:
        return value
    # Every process has read the file, so nothing is sent.
    return distribute_tensor(value.to(own.device), own.device_mesh, own.placements, src_data_rank=None)
