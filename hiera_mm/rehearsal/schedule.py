"""Computes the learning rates of a whole run without training, and sets a run to its last iterations."""

import copy
from collections.abc import Sequence

from hiera_mm.errors import UserError

import torch
from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.optim import SGD

MAX_SIMULATED_ITERATIONS = 200_000
"""Most iterations to simulate of a run by epochs; longer runs are simulated with shorter epochs."""


class WholeEpochs(Runner):
    """A runner whose schedules convert epochs to iterations by the length of the full training set."""

    @property
    def epoch_length(self) -> int:
        """Iterations per epoch of the full training set."""
        whole = getattr(self.train_dataloader.dataset, 'batches', len(self.train_dataloader))
        return min(whole, max(1, MAX_SIMULATED_ITERATIONS // self.max_epochs))

    def build_param_scheduler(self, scheduler: dict | list) -> list:
        """Build schedulers as mmengine does, with the full epoch length."""
        schedulers = copy.deepcopy(scheduler if isinstance(scheduler, list) else [scheduler])
        for each in schedulers:
            if isinstance(each, dict) and each.get('convert_to_iter_based'):
                each.setdefault('epoch_length', self.epoch_length)
        return super().build_param_scheduler(schedulers)


class Schedule:
    """The schedulers of a runner on a dummy optimizer with the settings of the runner's parameter groups.

    Args:
        runner: A runner with loop, optimizer and schedulers.
        epoch_length: Iterations per epoch.

    Attributes:
        rates: The highest learning rate of all groups before each simulated iteration.
    """

    def __init__(self, runner: Runner, epoch_length: int) -> None:
        self.by_iteration = isinstance(runner.train_loop, IterBasedTrainLoop)
        self.epoch_length = epoch_length
        groups = runner.optim_wrapper.param_groups
        optimizer = SGD([dict(params=[torch.zeros((), requires_grad=True)]) for _ in groups], lr=0.0)
        for ours, theirs in zip(optimizer.param_groups, groups, strict=True):
            ours.update(_settings(theirs))
        self.wrapper = OptimWrapper(optimizer)
        # Built as the runner builds its own, but for the dummy optimizer.
        wrapper, runner.optim_wrapper = runner.optim_wrapper, self.wrapper
        try:
            self.schedulers = runner.build_param_scheduler(runner.cfg.get('param_scheduler') or [])
        finally:
            runner.optim_wrapper = wrapper
        # Otherwise schedulers warn that the optimizer takes no steps.
        self.wrapper._global_step = 0
        self.rates = [self._rate()]

    def go_to(self, iteration: int) -> None:
        """Advance to the state before an iteration, counted from 0."""
        while len(self.rates) <= iteration:
            done = len(self.rates)
            epoch_ends = not self.by_iteration and done % self.epoch_length == 0
            for scheduler in self.schedulers:
                # Schedulers that follow a metric step after a validation.
                if (epoch_ends if scheduler.by_epoch else True) and not getattr(scheduler, 'need_val_args', False):
                    scheduler.step()
            self.rates.append(self._rate())

    def apply_to(self, runner: Runner) -> None:
        """Copy this state to the runner's optimizer and schedulers."""
        for group, scheduled in zip(
            runner.optim_wrapper.param_groups, self.wrapper.optimizer.param_groups, strict=True
        ):
            group.update(_scheduled(scheduled))
        for theirs, ours in zip(runner.param_schedulers or [], self.schedulers, strict=True):
            theirs.load_state_dict(dict(last_step=ours.last_step, _global_step=ours._global_step))

    def _rate(self) -> float:
        return max(group['lr'] for group in self.wrapper.param_groups)


def describe(rates: Sequence[float]) -> str:
    """Describe the learning rate at the start, at its highest, in the middle and at the end of a run."""
    top = max(range(len(rates)), key=rates.__getitem__)
    words = (
        f'learning rate {rates[0]:.2e} at the start, {rates[top]:.2e} after {top / len(rates):.1%} of the run (the '
        f'highest), {rates[len(rates) // 2]:.2e} in the middle, {rates[-1]:.2e} at the end'
    )
    never_falls = len(rates) > 2 and rates[-1] == rates[top]
    return words + ('; note that it never falls (param_scheduler)' if never_falls else '')


def check_units(runner: Runner) -> None:
    """Refuse a schedule that counts epochs in a run that counts iterations, where it would never step.

    Raises:
        UserError: naming the scheduler.
    """
    if not isinstance(runner.train_loop, IterBasedTrainLoop) or not isinstance(runner.param_schedulers, list):
        return
    for number, scheduler in enumerate(runner.param_schedulers):
        if scheduler.by_epoch:
            raise UserError(
                f'The schedule {type(scheduler).__name__} (param_scheduler.{number}) counts epochs, but the training '
                f'loop counts iterations, so that it would never change the rate; set by_epoch=False there.'
            )


def _settings(group: dict) -> dict:
    """Settings of a parameter group before any scheduler step."""
    kept = {key: value for key, value in group.items() if key != 'params'}
    initial = {key.removeprefix('initial_'): value for key, value in kept.items() if key.startswith('initial_')}
    return {key: value for key, value in kept.items() if not key.startswith('initial_')} | initial


def _scheduled(group: dict) -> dict:
    names = [key.removeprefix('initial_') for key in group if key.startswith('initial_')]
    return {name: group[name] for name in names}
