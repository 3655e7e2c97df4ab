"""Hooks for a rehearsal: stop after the first iterations, and jump to the last ones."""

from dataclasses import dataclass, field
from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.rehearsal.schedule import Schedule, WholeEpochs, check_units, describe
from hiera_mm.rehearsal.stages import Stages

from mmengine.hooks import CheckpointHook, EarlyStoppingHook, Hook
from mmengine.runner import IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

FIRST_ITERATIONS = 2
"""Iterations trained before the run is stopped and resumed."""


class FirstIterationsDone(Exception):
    """Ends the training after the first iterations."""


@dataclass
class Start:
    """Where the first iterations ended.

    Attributes:
        checkpoint: Path of the checkpoint written there.
        iteration, epoch: Counts of the runner.
        rates: Learning rate of each parameter group.
    """

    checkpoint: Path
    iteration: int = 0
    epoch: int = 0
    rates: list[float] = field(default_factory=list)


class EnterHook(Hook):
    """Enters stages at a runner's events.

    Args:
        stages: Stages of the rehearsal.
        priority: Priority among the hooks of an event.
        events: Names of stages by name of the event.
    """

    def __init__(self, stages: Stages, priority: str, **events: str) -> None:
        self.stages, self.priority, self.events = stages, priority, events

    def _enter(self, event: str) -> None:
        if event in self.events:
            self.stages.enter(self.events[event])

    def before_run(self, runner: Runner) -> None:
        self._enter('before_run')

    def before_train(self, runner: Runner) -> None:
        self._enter('before_train')

    def before_val(self, runner: Runner) -> None:
        self._enter('before_val')

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        self._enter('after_val_epoch')

    def after_val(self, runner: Runner) -> None:
        self._enter('after_val')

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        self._enter('after_train_iter')

    def after_train_epoch(self, runner: Runner) -> None:
        self._enter('after_train_epoch')


class StartHook(Hook):
    """Saves a checkpoint and stops a run after its first iterations, or after its first epoch if that is shorter."""

    # After the schedulers' step, before checkpoints are saved.
    priority = 'LOW'

    def __init__(self, stages: Stages, start: Start) -> None:
        self.stages, self.start = stages, start
        self.losses: list[float] = []

    def before_run(self, runner: Runner) -> None:
        check_units(runner)
        by_iteration = isinstance(runner.train_loop, IterBasedTrainLoop)
        if by_iteration and any(hook.by_epoch for hook in runner.hooks if isinstance(hook, CheckpointHook)):
            self.stages.fail(
                'checkpoint',
                'The checkpoint hook counts epochs, but the training loop counts iterations, so that nothing would be '
                'saved before the end; set default_hooks.checkpoint.by_epoch=False.',
            )

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        self.losses.append((outputs or {})['loss'].item())
        if isinstance(runner.train_loop, IterBasedTrainLoop) and len(self.losses) == FIRST_ITERATIONS:
            self._stop(runner, by_epoch=False)

    def after_train_epoch(self, runner: Runner) -> None:
        self._stop(runner, by_epoch=True)

    def _stop(self, runner: Runner, by_epoch: bool) -> None:
        losses = ', '.join(f'{loss:.4g}' for loss in self.losses)
        self.stages.say('first iterations', f'losses {losses}')
        runner.save_checkpoint(str(self.start.checkpoint.parent), self.start.checkpoint.name, by_epoch=by_epoch)
        self.start.iteration = runner.iter + 1
        self.start.epoch = runner.epoch + by_epoch
        self.start.rates = [group['lr'] for group in runner.optim_wrapper.param_groups]
        raise FirstIterationsDone


class EndHook(Hook):
    """Makes a resumed run jump to its last iteration or its last epoch."""

    priority = 'LOW'

    def __init__(self, stages: Stages, start: Start) -> None:
        self.stages, self.start, self.jumped = stages, start, False

    def before_train(self, runner: Runner) -> None:
        loop, start = runner.train_loop, self.start
        rates = [group['lr'] for group in runner.optim_wrapper.param_groups]
        by_iteration = isinstance(loop, IterBasedTrainLoop)
        iteration = start.iteration if by_iteration else start.epoch * len(runner.train_dataloader)
        if (loop.epoch, loop.iter, rates) != (start.epoch, iteration, start.rates):
            raise UserError(
                f'The run stopped at epoch {start.epoch}, iteration {iteration}, but resumes at epoch {loop.epoch}, '
                f'iteration {loop.iter}, or with other learning rates; see the hooks that change checkpoints.'
            )
        self.stages.say('resume', f'resumes after iteration {iteration}')
        self.stages.enter('last iterations')
        if not by_iteration:
            self._jump(runner)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        # An iteration-based loop first skips the data used before its current iteration.
        if not self.jumped:
            self._jump(runner)

    def _jump(self, runner: WholeEpochs) -> None:
        self.jumped = True
        loop, schedule = runner.train_loop, Schedule(runner, runner.epoch_length)
        if isinstance(loop, IterBasedTrainLoop):
            loop._iter = max(loop.iter, loop.max_iters - 1)
            left, whole_run = loop.max_iters - loop.iter, loop.max_iters
        else:
            loop._epoch = max(loop.epoch, loop.max_epochs - 1)
            loop._iter = loop.epoch * len(runner.train_dataloader)
            left, whole_run = len(runner.train_dataloader), loop.max_epochs * runner.epoch_length
        schedule.go_to(whole_run - left)
        schedule.apply_to(runner)
        # So that accumulated gradients are applied in the last iteration.
        runner.optim_wrapper.initialize_count_status(runner.model, loop.iter, loop.max_iters)
        schedule.go_to(whole_run - 1)
        self.stages.say('loaders and schedule', describe(schedule.rates))


class DueHook(Hook):
    """Checks that a run which has come to its end was validated."""

    priority = 'LOW'

    def __init__(self, stages: Stages) -> None:
        self.stages = stages

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        for hook in runner.hooks:
            if isinstance(hook, EarlyStoppingHook) and hook.monitor not in (metrics or {}):
                raise UserError(
                    f"EarlyStoppingHook watches '{hook.monitor}', which no evaluator gives, so that it would never "
                    f'stop the run; set its monitor to one of {", ".join(metrics or {})}.'
                )

    def after_train(self, runner: Runner) -> None:
        if runner.val_loop is not None and self.stages.by_name['validation'].outcome == 'not reached':
            self.stages.fail(
                'validation',
                'No validation is due by the end of the training; lower train_cfg.val_begin or train_cfg.val_interval.',
            )


class EndlessHook(Hook):
    """Ends a run whose sampler never ends an epoch, a validation or a test.

    Raises:
        UserError: with the name of the sampler.
    """

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            self._check('train', runner.train_dataloader, batch_idx, ", or train_cfg.type='IterBasedTrainLoop'")

    def before_val_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        self._check('val', runner.val_dataloader, batch_idx)

    def before_test_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        self._check('test', runner.test_dataloader, batch_idx)

    def _check(self, part: str, loader: DataLoader, number: int, or_else: str = '') -> None:
        if number >= len(loader):
            raise UserError(
                f'{type(loader.sampler).__name__} of {part}_dataloader never ends, where the loop waits for its '
                f"end; set {part}_dataloader.sampler.type='DefaultSampler'{or_else}."
            )
