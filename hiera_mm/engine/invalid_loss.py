"""Stops training when the loss is no longer a number."""

import math

from hiera_mm.errors import UserError

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class StopOnInvalidLossHook(Hook):
    """Ends the run at the iteration whose loss is infinite or NaN, before a checkpoint holds such weights.

    Raises:
        UserError: naming the iteration and the losses.
    """

    # Before the hook that saves checkpoints.
    priority = 'VERY_HIGH'

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        losses = {name: value.item() for name, value in (outputs or {}).items()}
        if not all(math.isfinite(value) for value in losses.values()):
            values = ', '.join(f'{name} = {value:g}' for name, value in losses.items())
            raise UserError(
                f'The loss became invalid at iteration {runner.iter + 1} ({values}); lower optim_wrapper.optimizer.lr, '
                f'train without --amp, or look for broken boxes in the annotations.'
            )
