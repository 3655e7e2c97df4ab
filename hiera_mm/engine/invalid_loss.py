"""Stops training when the loss or its gradients are no longer numbers."""

import math

from hiera_mm.errors import UserError

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

NORM = 'norm of the gradients'


@HOOKS.register_module()
class StopOnInvalidLossHook(Hook):
    """Ends the run at the iteration whose loss or gradients are infinite or NaN, before a checkpoint holds what came of
    them.

    Gradients are looked at when the optimizer steps. By then they are the mean over all processes, so all of them stop,
    whichever has the cause. A loss scaler (``--amp``) skips the steps whose scaled gradients overflow: that is no
    fault, and they aren't looked at.

    Raises:
        UserError: naming the iteration, the losses, and the norm.
    """

    # Before the hook that saves checkpoints.
    priority = 'VERY_HIGH'

    norm: Tensor | None = None

    def before_train(self, runner: Runner) -> None:
        runner.optim_wrapper.optimizer.register_step_pre_hook(self._measure)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        values = {**(outputs or {}), **({} if self.norm is None else {NORM: self.norm})}
        self.norm = None
        if not values:
            return
        # One transfer from the GPU for all of them.
        numbers = torch.stack([value.detach().float().mean() for value in values.values()]).tolist()
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
        norm = get_total_norm(gradients) if gradients else None
        # Of gradients that are spread over processes, all must see the norm of all.
        self.norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
