"""Stops training when the loss or its gradients are no longer numbers."""

import math

from hiera_mm.errors import UserError

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor
from torch.amp import GradScaler
from torch.distributed.tensor import DTensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

NORM, SCALE = 'norm of the gradients', 'loss scale'

MIN_LOSS_SCALE = 2.0**-20
"""A loss scaler begins with 2 ** 16 and halves the scale whenever gradients overflow."""


@HOOKS.register_module()
class StopOnInvalidLossHook(Hook):
    """Ends the run at the first iteration with an infinite or NaN loss or gradient, before a checkpoint is saved.

    Gradients are checked when the optimizer steps. By then they are the mean over all processes, so that all processes
    stop. A loss scaler (``--amp`` in fp16) skips steps whose scaled gradients overflow, which is normal at the start
    and an error only if it never ends.

    Raises:
        UserError: naming the iteration, the losses, and the norm; or if gradients overflow however low the loss scale
            is.
    """

    # Before the hook that saves checkpoints.
    priority = 'VERY_HIGH'

    norm: Tensor | None = None
    scaler: GradScaler | None = None

    def before_train(self, runner: Runner) -> None:
        self.scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
        runner.optim_wrapper.optimizer.register_step_pre_hook(self._measure)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        # A scaler has no scale before its first loss, or if it is disabled.
        scale = getattr(self.scaler, '_scale', None)
        found = {NORM: self.norm, SCALE: scale}
        values = {**(outputs or {}), **{name: value for name, value in found.items() if value is not None}}
        self.norm = None
        if not values:
            return
        # One transfer from the GPU for all of them.
        numbers = torch.stack([value.detach().float().mean() for value in values.values()]).tolist()
        if scale is not None and numbers[-1] < MIN_LOSS_SCALE:
            raise UserError(
                f'At iteration {runner.iter + 1} the gradients still overflow in fp16 with a loss scale of '
                f'{numbers[-1]:g}, so training makes no steps any more; train with '
                '--cfg-options optim_wrapper.dtype=bfloat16, without --amp, or with a lower optim_wrapper.optimizer.lr.'
            )
        if not all(math.isfinite(number) for number in numbers):
            told = ', '.join(f'{name} = {number:g}' for name, number in zip(values, numbers, strict=True))
            raise UserError(
                f'The loss became invalid at iteration {runner.iter + 1} ({told}); lower optim_wrapper.optimizer.lr, '
                f'train without --amp, or look for broken boxes in the annotations.'
            )

    def _measure(self, optimizer: Optimizer, arguments: tuple, keywords: dict) -> None:
        gradients = [
            parameter.grad
            for group in optimizer.param_groups
            for parameter in group['params']
            if parameter.grad is not None
        ]
        if not gradients:
            return
        norm = get_total_norm(gradients)
        # With sharded gradients, every process must see the norm over all processes.
        whole = norm.full_tensor() if isinstance(norm, DTensor) else norm
        # With fused optimizers, skipping the step and unscaling happen inside the optimizer.
        overflowed, scale = (getattr(optimizer, name, None) for name in ('found_inf', 'grad_scale'))
        whole = whole if scale is None else whole / scale
        self.norm = whole if overflowed is None else torch.where(overflowed > 0, torch.zeros_like(whole), whole)
