"""Saves a run that is told to end, and makes processes end with their parent."""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hiera_mm.engine.saving import CheckpointHook
from hiera_mm.program import command_line

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import FUNCTIONS, HOOKS
from mmengine.runner import Runner
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT, signal.SIGHUP)
"""Signals of Slurm, cloud machines, ``kill``, the keyboard, and a closing terminal."""

REPEAT_SECONDS = 3.0
"""Seconds within which a second signal counts as the same one: Slurm signals all processes, and torchrun passes it
on."""

PR_SET_PDEATHSIG = 1
"""Option of Linux's ``prctl``: a signal to get when the parent process dies."""


class _Received:
    """The signal that told the run to end, 0 before that."""

    number = 0
    at = 0.0


@contextmanager
def signals_end_the_run() -> Iterator[None]:
    """Let the current iteration finish after the first signal; a second one ends the process at once. Data-loading
    processes started inside always end as well.
    """
    before = {number: signal.signal(number, _handle_signal) for number in SIGNALS}
    earlier = {child.pid for child in multiprocessing.active_children()}
    _Received.number = 0
    try:
        yield
    finally:
        _end_workers(earlier)
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_workers(earlier: set[int | None]) -> None:
    for iterator in [each for each in gc.get_objects() if type(each) is _MultiProcessingDataLoaderIter]:
        if all(worker.pid not in earlier for worker in iterator._workers):
            iterator._shutdown_workers()
    # A worker in the middle of a long sample ignores signals.
    for child in multiprocessing.active_children():
        if child.pid not in earlier:
            child.kill()


def _handle_signal(number: int, frame: FrameType | None) -> None:
    if _Received.number and time.monotonic() - _Received.at > REPEAT_SECONDS:
        os._exit(128 + number)
    if _Received.number:
        return
    _Received.number, _Received.at = number, time.monotonic()
    name = signal.Signals(number).name
    print(f'{name}: the run ends after this iteration; a second signal ends it at once.', file=sys.stderr, flush=True)


@HOOKS.register_module()
class StopOnSignalHook(Hook):
    """Saves a checkpoint and ends the run with exit code 128 + the signal's number, when any process is told to end."""

    # After the hook that saves checkpoints.
    priority = 'LOWEST'

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        number = _from_any_process(_Received.number)
        if not number:
            return
        (saving,) = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
        path = saving.save_now(runner, batch_idx + 1)
        runner.logger.warning(
            f'{signal.Signals(number).name} ended the run at iteration {runner.iter + 1}; it is saved in {path}. '
            f'Continue with {command_line("train")} CONFIG --resume.'
        )
        raise SystemExit(128 + number)


def _from_any_process(number: int) -> int:
    if get_world_size() == 1:
        return number
    told = torch.tensor(number)
    if torch.distributed.get_backend() == 'nccl':
        told = told.cuda()
    all_reduce(told, 'max')
    return int(told)


@FUNCTIONS.register_module()
def end_with_parent(worker_id: int) -> None:
    """Make a data-loading process end when the training process ends for any reason, and ignore signals itself."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    _set_parent_death_signal(signal.SIGKILL)


def end_with_launcher() -> None:
    """Make a process that torchrun started receive ``SIGTERM`` when torchrun is killed."""
    if 'TORCHELASTIC_RUN_ID' in os.environ:
        _set_parent_death_signal(signal.SIGTERM)


def _set_parent_death_signal(number: int) -> None:
    if sys.platform.startswith('linux'):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)
