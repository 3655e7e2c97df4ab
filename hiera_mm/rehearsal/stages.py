"""The stages of a rehearsal: which were reached, how long each took, how much memory it needed, what went wrong."""

import contextlib
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field

from hiera_mm.explain import describe
from hiera_mm.replaced import replaced

import psutil
import torch
from mmengine.device import get_max_cuda_memory
from mmengine.runner import log_processor

STAGES = (
    'data',
    'model',
    'loaders and schedule',
    'weights',
    'first iterations',
    'resume',
    'last iterations',
    'checkpoint',
    'validation',
    'best checkpoint',
    'test',
    'prediction file',
)
"""Names of the stages, in the order of a run."""

MEMORY_CHECK_SHARE = 0.03
"""Largest share of the time spent on measuring memory, which is slow for large processes."""


@dataclass
class Stage:
    """One stage of a run.

    Attributes:
        name: One of :data:`STAGES`.
        outcome: ``'passed'``, ``'failed'``, ``'left out'`` if the config has no such stage, or ``'not reached'``.
        seconds: Duration.
        memory: Peak bytes of the process and its data-loading workers; None if the system doesn't say.
        gpu_memory: Peak bytes of torch on the GPU; None without one.
        words: Notes; for a failed stage, what is wrong and what to do.
        trace: Traceback of the error of a failed stage.
    """

    name: str
    outcome: str = 'not reached'
    seconds: float = 0.0
    memory: int | None = None
    gpu_memory: int | None = None
    words: list[str] = field(default_factory=list)
    trace: str = ''


class Stages:
    """All stages of a rehearsal. At most one is open, and time and memory are counted for it."""

    def __init__(self) -> None:
        self.by_name = {name: Stage(name) for name in STAGES}
        self.open: Stage | None = None
        self.since = 0.0
        self.watching = threading.Event()

    def enter(self, name: str) -> None:
        """Close the open stage and open this one, for the first time or again."""
        self.close()
        self.open, self.since = self.by_name[name], time.perf_counter()
        if self.open.outcome == 'not reached':
            self.open.outcome = 'passed'
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def close(self) -> None:
        """Close the open stage, if there is one."""
        if self.open is None:
            return
        self.open.seconds += time.perf_counter() - self.since
        self._record_gpu_memory()
        self.open = None

    def say(self, name: str, words: str) -> None:
        """Add a note to a stage, unless it has failed."""
        if self.by_name[name].outcome != 'failed':
            self.by_name[name].words.append(words)

    def fail(self, name: str, words: str, trace: str = '') -> None:
        """Mark a stage as failed."""
        stage = self.by_name[name]
        stage.outcome, stage.words, stage.trace = 'failed', [words], trace

    def leave_out(self, name: str, why: str) -> None:
        """Mark a stage that the run of the config does not have."""
        self.by_name[name] = Stage(name, outcome='left out', words=[why])

    @contextlib.contextmanager
    def part(self, first: str) -> Iterator[None]:
        """A part of the run that begins with the stage ``first`` and may enter others. An error ends the part and is
        recorded for the stage that is then open.
        """
        self.enter(first)
        try:
            yield
        except Exception as error:
            failed = self.open.name if self.open else first
            # As text, since the error would keep the runner and its workers alive.
            self.fail(failed, describe(error), ''.join(traceback.format_exception(error)))
        finally:
            self.close()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Measure memory in a thread, at intervals."""
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        try:
            # mmengine resets the peak of GPU memory when it logs it.
            with replaced(log_processor, 'get_max_cuda_memory', self._logged_gpu_memory):
                yield
        finally:
            self.watching.set()
            watcher.join()

    def _logged_gpu_memory(self, device: torch.device | None = None) -> int:
        self._record_gpu_memory()
        return get_max_cuda_memory(device)

    def _record_gpu_memory(self) -> None:
        if self.open is not None and torch.cuda.is_available():
            self.open.gpu_memory = max(self.open.gpu_memory or 0, torch.cuda.max_memory_allocated())

    def _watch(self) -> None:
        pause = 0.0
        while not self.watching.wait(pause):
            stage, start = self.open, time.perf_counter()
            held = memory_held()
            pause = max(0.05, (time.perf_counter() - start) / MEMORY_CHECK_SHARE)
            if stage is not None and held is not None:
                stage.memory = max(stage.memory or 0, held)


def memory_held() -> int | None:
    """Bytes of this process and its children, counting shared memory once; None if the system doesn't say."""
    process, held = psutil.Process(), 0
    try:
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                info = one.memory_full_info()
                held += getattr(info, 'pss', info.uss)
    except psutil.AccessDenied:
        return None
    return held
