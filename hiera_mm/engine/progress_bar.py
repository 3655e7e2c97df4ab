"""A progress bar with the remaining time, below the log on a terminal."""

import atexit
import logging
import sys

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

LOSS_INTERVAL = 10
"""Iterations between two updates of the loss."""


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Shows the progress of training, validation and testing. It does nothing if the output is not a terminal, and in
    all processes but the first; the log shows the remaining time as well (``eta``).
    """

    bar: Progress | None = None

    def before_run(self, runner: Runner) -> None:
        if runner.rank > 0 or not sys.stdout.isatty():
            return
        columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        left = TextColumn('left'), TimeRemainingColumn(), TextColumn('{task.fields[loss]}')
        self.bar = Progress(*columns, *left, console=Console(file=sys.stdout), transient=True)
        self.bar.start()
        # Also if the run fails, since the cursor is hidden until then.
        atexit.register(self.after_run, runner)
        # Log lines go above the bar, which has replaced sys.stdout.
        self.streams = [handler for handler in runner.logger.handlers if type(handler) is logging.StreamHandler]
        for handler in self.streams:
            handler.setStream(sys.stdout)
        self.tasks: dict[str, TaskID] = {}

    def after_run(self, runner: Runner) -> None:
        if self.bar is None:
            return
        self.bar.stop()
        for handler in self.streams:
            handler.setStream(sys.stdout)
        self.bar = None

    def before_train(self, runner: Runner) -> None:
        self._begin('train', 'Training', runner.max_iters, runner.iter)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        if self.bar is not None and outputs:
            # Reading the loss waits for the GPU, so it is done as rarely as in the log.
            self.bar.update(self.tasks['train'], completed=runner.iter + 1)
            if self.every_n_train_iters(runner, LOSS_INTERVAL):
                rate = max(group['lr'] for group in runner.optim_wrapper.param_groups)
                self.bar.update(self.tasks['train'], loss=f'loss {float(outputs["loss"]):.3f} rate {rate:.3g}')

    def before_val_epoch(self, runner: Runner) -> None:
        self._begin('val', 'Validation', len(runner.val_dataloader))

    def before_test_epoch(self, runner: Runner) -> None:
        self._begin('test', 'Testing', len(runner.test_dataloader))

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self._advance('val')

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self._advance('test')

    def after_val_epoch(self, runner: Runner, metrics: dict | None = None) -> None:
        if self.bar is not None:
            self.bar.remove_task(self.tasks.pop('val'))

    def _begin(self, part: str, words: str, total: int, done: int = 0) -> None:
        if self.bar is not None:
            self.tasks[part] = self.bar.add_task(words, total=total, completed=done, loss='')

    def _advance(self, part: str) -> None:
        if self.bar is not None:
            self.bar.advance(self.tasks[part])
