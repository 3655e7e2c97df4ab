"""Runs of several models in turns, timed; what they compute and how much memory they take."""

import ctypes
import gc
import re
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from hiera_mm.complexity import count_parameters
from hiera_mm.models.cpu import plain

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.contestants import Backbone, Scale
from benchmarks.whole_models import WholeModel

MODES = dict(forward='forward', backward='forward and backward', step='training step (forward, backward and optimiser)')


@dataclass(frozen=True)
class Setting:
    """How runs are made, the same for all contestants."""

    mode: str = 'forward'
    dtype: str = 'float32'
    device: str = 'cpu'
    compile: bool = False
    graph: bool = False

    @property
    def on_gpu(self) -> bool:
        return torch.device(self.device).type == 'cuda'

    def precision(self) -> AbstractContextManager:
        if self.dtype == 'float32':
            return nullcontext()
        return torch.autocast(torch.device(self.device).type, getattr(torch, self.dtype))


@dataclass
class Measurement:
    """What came out for one contestant at one scale; times in seconds, memory in bytes, for the whole batch."""

    contestant: str
    scale: Scale
    parameters: int
    macs: int
    flops: int
    peak_memory: int | None
    warm_up: float = 0.0
    times: list[float] = field(default_factory=list)
    on_gpu: 'GPUTimes | None' = None

    @property
    def median(self) -> float:
        return statistics.median(self.times)


@dataclass(frozen=True)
class GPUTimes:
    """What tells the GPU's share of a run from the processor's, in seconds.

    Attributes:
        queued: A run's share of several that are given to the GPU without waiting for each.
        busy: How long the GPU computes in a run, by torch's profiler.
        kernels: How many kernels and copies it is given.
    """

    queued: float
    busy: float
    kernels: int


QUEUE = 20


def measure(
    contestants: dict[str, Backbone | WholeModel], scale: Scale, setting: Setting, repeats: int
) -> list[Measurement]:
    """Time each contestant ``repeats`` times, one after the other in turns, after a first run that is apart."""
    pixels = torch.randn(scale.shape, device=setting.device)
    runs, found = {}, []
    for name, contestant in contestants.items():
        contestant.to(setting.device)
        runs[name] = _run_of(contestant, pixels, setting)
        macs, flops = _operations(contestant, pixels, setting)
        # In a run of its own, as the first one also pays for what is loaded once.
        memory = peak_memory(runs[name], setting.device)
        parameters = count_parameters(contestant.model)
        found.append(Measurement(name, scale, parameters, macs, flops, memory))
        if setting.compile:
            contestant.compile(replays=setting.graph)
    for measurement in found:
        measurement.warm_up = seconds(runs[measurement.contestant], setting.device)
        if setting.graph and setting.compile:
            # The second run records what later ones replay.
            runs[measurement.contestant]()
        elif setting.graph:
            runs[measurement.contestant] = _as_graph(runs[measurement.contestant])
        if setting.on_gpu:
            measurement.on_gpu = gpu_times(runs[measurement.contestant])
    for _ in range(repeats):
        for measurement in found:
            measurement.times.append(seconds(runs[measurement.contestant], setting.device))
    return found


def seconds(run: Callable[[], object], device: str) -> float:
    finish(device)
    start = time.perf_counter()
    run()
    finish(device)
    return time.perf_counter() - start


def gpu_times(run: Callable[[], object]) -> GPUTimes:
    """Times of a run that has warmed up on a GPU."""
    start = time.perf_counter()
    for _ in range(QUEUE):
        run()
    torch.cuda.synchronize()
    queued = (time.perf_counter() - start) / QUEUE
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        run()
        torch.cuda.synchronize()
    given = [event for event in profiler.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    return GPUTimes(queued, sum(event.self_device_time_total for event in given) / 1e6, len(given))


def _as_graph(run: Callable[[], object]) -> Callable[[], object]:
    """A run as one CUDA graph, which the processor starts at once."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def peak_memory(run: Callable[[], object], device: str) -> int | None:
    """Bytes that a run needs beyond what is held before it; None where the system doesn't tell.

    On a GPU what torch allots, on a CPU what the process comes to hold.
    """
    if torch.device(device).type == 'cuda':
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return torch.cuda.max_memory_allocated() - before
    if not sys.platform.startswith('linux'):
        return None
    gc.collect()
    # Freed memory that the process still holds would be used again, unseen.
    ctypes.CDLL(None).malloc_trim(0)
    Path('/proc/self/clear_refs').write_text('5')
    before = _process_status('VmRSS')
    run()
    return _process_status('VmHWM') - before


def matrix_product_ceiling(setting: Setting) -> float:
    """Floating-point operations a second of the fastest of some products of square matrices.

    On a CPU also as 1 x 1 convolutions, whose kernels can be faster than those of the linear layers.
    """
    device = torch.device(setting.device)
    dtype = getattr(torch, setting.dtype)
    sides = (4096, 8192) if device.type == 'cuda' else (1024, 2048)
    best = 0.0
    for side in sides:
        a, b = torch.randn(2, side, side, device=device, dtype=dtype)
        image = a.reshape(1, 1, side, side).permute(0, 3, 1, 2)
        for product in (partial(torch.mm, a, b), partial(F.conv2d, image, b[:, :, None, None])):
            with torch.inference_mode():
                product()
                times = [seconds(product, setting.device) for _ in range(7)]
            best = max(best, 2 * side**3 / statistics.median(times))
    return best


def finish(device: str) -> None:
    """Wait until a GPU has done what it was given."""
    if torch.device(device).type == 'cuda':
        torch.cuda.synchronize()


def _run_of(contestant: Backbone | WholeModel, pixels: Tensor, setting: Setting) -> Callable[[], object]:
    if setting.mode == 'forward':
        run = partial(_forward, contestant, pixels, setting)
    else:
        optimizer = contestant.optimizer() if setting.mode == 'step' else None
        run = partial(_train, contestant, pixels, setting, optimizer)
    return partial(_as_step, run) if setting.compile and setting.graph else run


def _as_step(run: Callable[[], object]) -> None:
    """A run after which torch's graphs may overwrite what they gave."""
    torch.compiler.cudagraph_mark_step_begin()
    run()


def _forward(contestant: Backbone | WholeModel, pixels: Tensor, setting: Setting) -> None:
    contestant.model.eval()
    with torch.inference_mode(), setting.precision():
        contestant.predict(pixels)


def _train(contestant: Backbone | WholeModel, pixels: Tensor, setting: Setting, optimizer: object) -> None:
    contestant.model.train()
    with setting.precision():
        loss = contestant.loss(pixels)
    if optimizer is None:
        loss.backward()
    else:
        optimizer.update_params(loss)
    contestant.model.zero_grad()


def _operations(contestant: Backbone | WholeModel, pixels: Tensor, setting: Setting) -> tuple[int, int]:
    """Multiply-accumulates of the forward pass, and floating-point operations of a whole run, in matrix products."""
    # torch counts no operations of the faster code's.
    with plain(), FlopCounterMode(display=False) as counter, setting.precision():
        if setting.mode == 'forward':
            with torch.no_grad():
                contestant.model.eval()
                contestant.predict(pixels)
            return counter.get_total_flops() // 2, counter.get_total_flops()
        contestant.model.train()
        loss = contestant.loss(pixels)
        forward = counter.get_total_flops()
        loss.backward()
    contestant.model.zero_grad()
    return forward // 2, counter.get_total_flops()


def _process_status(key: str) -> int:
    return int(re.search(rf'{key}:\s+(\d+) kB', Path('/proc/self/status').read_text())[1]) * 1024
