"""What a run is going to do, in a few lines before it starts."""

import math
import statistics
import time
from collections.abc import Iterator

from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.optim import MultiStepLR
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop, Runner

ITERATIONS = 20
"""After which the duration of the whole run is estimated; the first of them is left out, as it warms up."""

WAITS_TOO_LONG = 0.2
"""The share of an iteration from which on the run is told to wait for its data."""


@HOOKS.register_module()
class RunPlanHook(Hook):
    """Logs how many pictures, iterations and epochs a run has, when it validates and saves, when the learning rate
    drops, and after 20 iterations how long it will take."""

    # Called first, so that what other hooks do after an iteration is not counted.
    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._began = self._ended = 0.0
        self._seconds: list[float] = []
        self._waits: list[float] = []

    def before_train(self, runner: Runner) -> None:
        runner.logger.info('\n'.join(['The run:', *(f'  {line}' for line in _plan(runner))]))
        self._seconds, self._waits, self._ended = [], [], time.monotonic()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        self._began = time.monotonic()
        self._waits.append(self._began - self._ended)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        self._ended = time.monotonic()
        self._seconds.append(self._ended - self._began)
        if len(self._seconds) == ITERATIONS:
            # Of the waits for data the median, as some of them hold a validation.
            waits = statistics.median(self._waits[1:])
            each = statistics.mean(self._seconds[1:]) + waits
            left = (runner.max_iters - runner.iter - 1) * each
            runner.logger.info(
                f'{each:.2f} s an iteration: about {_duration(left)} left, validations and checkpoints not counted.'
            )
            if waits > WAITS_TOO_LONG * each:
                runner.logger.warning(
                    f'{waits:.2f} s of that wait for data: train_dataloader.num_workers is '
                    f'{runner.train_dataloader.num_workers}, and more of them, or smaller files, would make it faster.'
                )


def _plan(runner: Runner) -> Iterator[str]:
    loader = runner.train_dataloader
    pictures = len(loader.dataset)
    batch = (loader.batch_size or loader.batch_sampler.batch_size) * get_world_size()
    epoch = math.ceil(pictures / batch)
    iterations = runner.max_iters
    yield (
        f'{pictures} pictures or clips, {batch} an iteration: {iterations} iterations are '
        f'{iterations / epoch:.3g} epochs'
    )
    by_iteration = isinstance(runner.train_loop, IterBasedTrainLoop)
    unit = 'iterations' if by_iteration else 'epochs'
    if runner.val_loop is not None:
        yield f'validation every {runner.train_loop.val_interval} {unit}'
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            kept = hook.save_best if isinstance(hook.save_best, list) else [hook.save_best]
            best = f', the best by {" and ".join(kept)} kept' if hook.save_best else ''
            yield f'checkpoint every {hook.interval} {"epochs" if hook.by_epoch else "iterations"}{best}'
    yield from _drops(runner)


def _drops(runner: Runner) -> Iterator[str]:
    rates = [group.get('initial_lr', group['lr']) for group in runner.optim_wrapper.param_groups]
    yield f'learning rate {max(rates):.3g}'
    for scheduler in runner.param_schedulers if isinstance(runner.param_schedulers, list) else ():
        if isinstance(scheduler, MultiStepLR):
            places = ', '.join(map(str, sorted(scheduler.milestones)))
            unit = 'epochs' if scheduler.by_epoch else 'iterations'
            yield f'learning rate times {scheduler.gamma:g} after {places} {unit}'


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f'{seconds:.0f} seconds'
    if seconds < 100 * 60:
        return f'{seconds / 60:.0f} minutes'
    return f'{seconds / 3600:.1f} hours' if seconds < 100 * 3600 else f'{seconds / 86400:.1f} days'
