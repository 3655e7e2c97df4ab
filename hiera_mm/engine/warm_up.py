"""A linear warm-up of any length."""

from collections.abc import Sequence

from mmengine.optim import LinearLR
from mmengine.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmUpLR(LinearLR):
    """mmengine's ``LinearLR``, but a warm-up of a single step has the whole rate.

    ``LinearLR`` has its first factor in that step, and nothing raises the rate afterwards.
    """

    def _get_value(self) -> Sequence[float]:
        if self.total_iters == 0:
            return [group[self.param_name] * self.end_factor for group in self.optimizer.param_groups]
        return super()._get_value()
