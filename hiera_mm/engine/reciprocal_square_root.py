"""The reciprocal-square-root learning rate of *Scaling Vision Transformers* (arXiv 2106.04560, section 3.5)."""

from collections.abc import Sequence

from hiera_mm.errors import UserError

from mmengine.optim import OptimWrapper
from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import INF, _ParamScheduler
from mmengine.registry import PARAM_SCHEDULERS
from torch.optim import Optimizer


@PARAM_SCHEDULERS.register_module()
class ReciprocalSquareRootLR(LRSchedulerMixin, _ParamScheduler):
    """Divides the learning rate by ``sqrt(1 + t / timescale)``, ``t`` steps after ``begin``, and lowers it linearly to
    0 over the last ``cool_down`` steps.

    Until the cool-down starts the rate does not depend on when training ends, so one run can be cooled down after
    several lengths. For a warm-up put a ``WarmUpLR`` before it.

    Args:
        optimizer: As for mmengine's schedulers.
        timescale: Steps after which the rate is down to ``1 / sqrt(2)``.
        cool_down: Steps of linear decrease before ``end``; 0 for none.
        begin, end, last_step, by_epoch, verbose: As for mmengine's schedulers; with
            ``convert_to_iter_based=True`` all but ``last_step`` are given in epochs.

    Raises:
        UserError: for a ``timescale`` that is not positive, or a ``cool_down`` longer than the schedule.
    """

    def __init__(
        self,
        optimizer: Optimizer | OptimWrapper,
        timescale: float,
        cool_down: int = 0,
        begin: int = 0,
        end: int = INF,
        last_step: int = -1,
        by_epoch: bool = True,
        verbose: bool = False,
    ) -> None:
        if timescale <= 0 or not 0 <= cool_down <= end - begin:
            raise UserError(
                f"ReciprocalSquareRootLR needs a positive 'timescale' and a 'cool_down' between 0 and end - begin = "
                f'{end - begin}, but has {timescale} and {cool_down}.'
            )
        self.timescale = timescale
        self.cool_down = cool_down
        super().__init__(optimizer, begin=begin, end=end, last_step=last_step, by_epoch=by_epoch, verbose=verbose)

    @classmethod
    def build_iter_from_epoch(
        cls,
        optimizer: Optimizer | OptimWrapper,
        timescale: float,
        cool_down: float = 0,
        begin: float = 0,
        end: float = INF,
        by_epoch: bool = True,
        *,
        epoch_length: int,
        **kwargs,
    ) -> 'ReciprocalSquareRootLR':
        """Like the constructor, with all arguments but the optimizer in epochs, for a step at every iteration."""
        if not by_epoch:
            raise UserError('convert_to_iter_based=True is for schedules in epochs; leave by_epoch=False out.')
        return cls(
            optimizer,
            timescale=timescale * epoch_length,
            cool_down=int(cool_down * epoch_length),
            begin=int(begin * epoch_length),
            end=INF if end == INF else int(end * epoch_length),
            by_epoch=False,
            **kwargs,
        )

    def _get_value(self) -> Sequence[float]:
        """The rates, computed from those of the previous step so that this works together with other schedulers."""
        if self.last_step == 0:
            return [group[self.param_name] for group in self.optimizer.param_groups]
        change = self._factor(self.last_step) / self._factor(self.last_step - 1)
        return [group[self.param_name] * change for group in self.optimizer.param_groups]

    def _factor(self, step: int) -> float:
        cooling = min(1.0, (self.end - self.begin - step) / self.cool_down) if self.cool_down else 1.0
        return cooling / (1 + step / self.timescale) ** 0.5
