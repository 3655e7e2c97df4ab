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

LOWEST_SCALE = 2.0**-20
"""Of a loss scaler, which begins with 2 ** 16 and halves it whenever gradients overflow."""


@HOOKS.register_module()
class StopOnInvalidLossHook(Hook):
    """Ends the run at the iteration whose loss or gradients are infinite or NaN, before a checkpoint holds what came of
    them.

    Gradients are looked at when the optimizer steps. By then they are the mean over all processes, so all of them stop,
    whichever has the cause. A loss scaler (``--amp`` in fp16) skips the steps whose scaled gradients overflow, as its
    first ones often do: that is no fault, unless it never ends.

    Raises:
        UserError: naming the iteration, the losses, and the norm; or where gradients overflow however small the loss
            is made.
    """

    # Before the hook that saves checkpoints.
    priority = 'VERY_HIGH'

    norm: Tensor | None = None
    scaler: GradScaler | None = None

    def before_train(self, runner: Runner) -> None:
        self.scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
        runner.optim_wrapper.optimizer.register_step_pre_hook(self._measure)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        # It has none before its first loss, or where it does nothing.
        scale = getattr(self.scaler, '_scale', None)
        found = {NORM: self.norm, SCALE: scale}
        values = {**(outputs or {}), **{name: value for name, value in found.items() if value is not None}}
        self.norm = None
        if not values:
            return
        # One transfer from the GPU for all of them.
        numbers = torch.stack([value.detach().float().mean() for value in values.values()]).tolist()
        if scale is not None and numbers[-1] < LOWEST_SCALE:
            raise UserError(
                f'At iteration {runner.iter + 1} the gradients still overflow in fp16 with a loss scale of '
                f'{numbers[-1]:g}, so no step is made any more; train with '
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
        # Of gradients that are spread over processes, all must see the norm of all.
        whole = norm.full_tensor() if isinstance(norm, DTensor) else norm
        # A loss scaler leaves it to fused optimizers to skip the step and to scale back.
        overflowed, scale = (getattr(optimizer, name, None) for name in ('found_inf', 'grad_scale'))
        whole = whole if scale is None else whole / scale
        self.norm = whole if overflowed is None else torch.where(overflowed > 0, torch.zeros_like(whole), whole)
