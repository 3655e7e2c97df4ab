"""Runs that are told to end save where they are, and processes that outlive nobody."""

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
"""Of Slurm, cloud machines, ``kill``, the keyboard, and a terminal that closes."""

SAME_SIGNAL = 3.0
"""Seconds within which another signal is the same one: Slurm tells all processes, and torchrun passes it on."""

SIGNAL_AT_DEATH_OF_PARENT = 1
"""``PR_SET_PDEATHSIG`` of Linux' ``prctl``."""


class _Told:
    """The signal that the run was told to end by, 0 for none."""

    number = 0
    at = 0.0


@contextmanager
def signals_end_the_run() -> Iterator[None]:
    """Let the iteration finish at the first signal; a second one ends the process at once. No data-loading process that
    was started inside is left at the end, however it comes.
    """
    before = {number: signal.signal(number, _tell) for number in SIGNALS}
    others = {child.pid for child in multiprocessing.active_children()}
    _Told.number = 0
    try:
        yield
    finally:
        _end_workers(others)
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_workers(others: set[int | None]) -> None:
    for iterator in [each for each in gc.get_objects() if type(each) is _MultiProcessingDataLoaderIter]:
        if all(worker.pid not in others for worker in iterator._workers):
            iterator._shutdown_workers()
    # One that was in the middle of a long sample; it does not hear signals.
    for child in multiprocessing.active_children():
        if child.pid not in others:
            child.kill()


def _tell(number: int, frame: FrameType | None) -> None:
    if _Told.number and time.monotonic() - _Told.at > SAME_SIGNAL:
        os._exit(128 + number)
    if _Told.number:
        return
    _Told.number, _Told.at = number, time.monotonic()
    name = signal.Signals(number).name
    print(f'{name}: the run ends after this iteration; once more ends it at once.', file=sys.stderr, flush=True)


@HOOKS.register_module()
class StopOnSignalHook(Hook):
    """Saves a checkpoint and ends the run with exit code 128 + the signal's number, when a process was told to end."""

    # After the hook that saves checkpoints.
    priority = 'LOWEST'

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict | None = None, outputs: dict | None = None
    ) -> None:
        number = _of_any_process(_Told.number)
        if not number:
            return
        (saving,) = [hook for hook in runner.hooks if isinstance(hook, CheckpointHook)]
        path = saving.save_now(runner, batch_idx + 1)
        runner.logger.warning(
            f'{signal.Signals(number).name} ended the run at iteration {runner.iter + 1}; it is saved in {path}. '
            f'Go on with {command_line("train")} CONFIG --resume.'
        )
        raise SystemExit(128 + number)


def _of_any_process(number: int) -> int:
    if get_world_size() == 1:
        return number
    told = torch.tensor(number)
    if torch.distributed.get_backend() == 'nccl':
        told = told.cuda()
    all_reduce(told, 'max')
    return int(told)


@FUNCTIONS.register_module()
def end_with_parent(worker_id: int) -> None:
    """For data-loading processes: end when the training process ends, however that happens, and not by its signals."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    _signal_at_death_of_parent(signal.SIGKILL)


def end_with_launcher() -> None:
    """For the processes that torchrun starts: be told to end, as by any other ``SIGTERM``, when it is killed."""
    if 'TORCHELASTIC_RUN_ID' in os.environ:
        _signal_at_death_of_parent(signal.SIGTERM)


def _signal_at_death_of_parent(number: int) -> None:
    if sys.platform.startswith('linux'):
        ctypes.CDLL(None).prctl(SIGNAL_AT_DEATH_OF_PARENT, number)
