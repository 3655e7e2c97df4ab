"""Logs what a run is going to do before it starts."""

import math
import statistics
import time
from collections.abc import Iterator

from hiera_mm.errors import UserError

from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.optim import LinearLR, MultiStepLR
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop, Runner

TIMED_ITERATIONS = 20
"""Iterations after which the duration of the whole run is estimated; the first is a warm-up and not counted."""

MAX_DATA_WAIT = 0.2
"""Share of an iteration spent waiting for data above which a warning is logged."""


@HOOKS.register_module()
class RunPlanHook(Hook):
    """Logs how many images, iterations and epochs a run has, when it validates and saves, when the learning rate
    drops, and after 20 iterations how long it will take."""

    # Called first, so that the time of other hooks is not counted.
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._began = self._ended = 0.0
        self._seconds: list[float] = []
        self._waits: list[float] = []

    def before_train(self, runner: Runner) -> None:
        _refuse_stuck_warm_up(runner)
        runner.logger.info('\n'.join(['The run:', *(f'  {line}' for line in plan_of(runner))]))
        self._seconds, self._waits, self._ended = [], [], time.monotonic()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        self._began = time.monotonic()
        self._waits.append(self._began - self._ended)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        self._ended = time.monotonic()
        self._seconds.append(self._ended - self._began)
        if len(self._seconds) == TIMED_ITERATIONS:
            # The median, as some of the waits include a validation.
            waits = statistics.median(self._waits[1:])
            each = statistics.mean(self._seconds[1:]) + waits
            left = (runner.max_iters - runner.iter - 1) * each
            runner.logger.info(
                f'{each:.2f} s per iteration: about {duration(left)} left, validations and checkpoints not counted.'
            )
            if waits > MAX_DATA_WAIT * each:
                runner.logger.warning(
                    f'{waits:.2f} s of that is spent waiting for data: train_dataloader.num_workers is '
                    f'{runner.train_dataloader.num_workers}; more workers or smaller files would make it faster.'
                )


def _refuse_stuck_warm_up(runner: Runner) -> None:
    for scheduler in runner.param_schedulers if isinstance(runner.param_schedulers, list) else ():
        stuck = type(scheduler) is LinearLR and scheduler.total_iters == 0
        if stuck and scheduler.start_factor != scheduler.end_factor:
            raise UserError(
                f'A warm-up by LinearLR over a single step would leave the learning rate at {scheduler.start_factor:g} '
                "of itself for the whole run; use type='WarmUpLR' in param_scheduler, or leave the warm-up out."
            )


def plan_of(runner: Runner) -> Iterator[str]:
    """What a run is going to do, in lines."""
    loader = runner.train_dataloader
    images = len(loader.dataset)
    batch = (loader.batch_size or loader.batch_sampler.batch_size) * get_world_size()
    epoch = math.ceil(images / batch)
    iterations = runner.max_iters
    yield (
        f'{images} images or clips, {batch} per iteration: {iterations} iterations are {iterations / epoch:.3g} epochs'
    )
    accumulated = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    if accumulated > 1:
        updates = math.ceil(iterations / accumulated)
        yield f'gradients of {accumulated} iterations are accumulated: {updates} updates of {batch * accumulated} each'
    by_iteration = isinstance(runner.train_loop, IterBasedTrainLoop)
    unit = 'iterations' if by_iteration else 'epochs'
    if runner.val_loop is not None:
        yield f'validation every {runner.train_loop.val_interval} {unit}'
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            kept = hook.save_best if isinstance(hook.save_best, list) else [hook.save_best]
            best = f', the best by {" and ".join(kept)} kept' if hook.save_best else ''
            yield f'checkpoint every {hook.interval} {"epochs" if hook.by_epoch else "iterations"}{best}'
    yield from _learning_rates(runner, iterations)


def _learning_rates(runner: Runner, iterations: int) -> Iterator[str]:
    rates = [group.get('initial_lr', group['lr']) for group in runner.optim_wrapper.param_groups]
    yield f'learning rate {max(rates):.3g}'
    for scheduler in runner.param_schedulers if isinstance(runner.param_schedulers, list) else ():
        unit = 'epochs' if scheduler.by_epoch else 'iterations'
        if isinstance(scheduler, LinearLR) and scheduler.total_iters > 0:
            yield f'warm-up over {scheduler.end - scheduler.begin} {unit}'
        elif isinstance(scheduler, MultiStepLR):
            length = runner.max_epochs if scheduler.by_epoch else iterations
            places = [str(place) for place in sorted(scheduler.milestones) if place < length]
            if places:
                yield f'learning rate times {scheduler.gamma:g} after {", ".join(places)} {unit}'


def duration(seconds: float) -> str:
    """A time in words, in the unit that suits it."""
    if seconds < 100:
        return f'{seconds:.0f} seconds'
    if seconds < 100 * 60:
        return f'{seconds / 60:.0f} minutes'
    return f'{seconds / 3600:.1f} hours' if seconds < 100 * 3600 else f'{seconds / 86400:.1f} days'
