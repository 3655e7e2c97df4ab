"""A linear warm-up of any length."""

from collections.abc import Sequence
from typing import Any

from mmengine.optim import LinearLR
from mmengine.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmUpLR(LinearLR):
    """mmengine's ``LinearLR``, but a warm-up of a single step, or of less, has the whole rate.

    ``LinearLR`` has its first factor in that step, and nothing raises the rate afterwards; a part of an epoch in which
    there is no step is an error there.
    """

    @classmethod
    def build_iter_from_epoch(
        cls, *args: Any, begin: float = 0, end: float, by_epoch: bool = True, epoch_length: int, **more: Any
    ) -> 'WarmUpLR':
        """With ``begin`` and ``end`` in epochs, for a step at every iteration."""
        first = int(begin * epoch_length)
        return cls(*args, begin=first, end=max(first + 1, int(end * epoch_length)), by_epoch=False, **more)

    def _get_value(self) -> Sequence[float]:
        if self.total_iters == 0:
            return [group[self.param_name] * self.end_factor for group in self.optimizer.param_groups]
        return super()._get_value()
