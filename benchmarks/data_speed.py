"""How fast one worker makes samples, and which transform takes how long."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import cv2
import torch
from torch.utils.data import Dataset


class _Timed:
    """A transform that keeps account of its time."""

    def __init__(self, transform: Callable) -> None:
        self.transform, self.seconds = transform, 0.0

    def __getattr__(self, name: str) -> object:
        return getattr(self.transform, name)

    def __call__(self, results: object) -> object:
        start = time.perf_counter()
        results = self.transform(results)
        self.seconds += time.perf_counter() - start
        return results


def time_samples(dataset: Dataset, seconds: float) -> tuple[float, dict[str, float]]:
    """Samples a second of one process with one thread, as in a worker, and seconds a sample of each transform.

    Args:
        dataset: With a ``pipeline`` of transforms; of a video taken several times each clip counts.
        seconds: For how long to measure; the data set is gone through from the start as often as it takes.
    """
    with _one_thread():
        dataset[0]
        timed = [_Timed(transform) for transform in dataset.pipeline.transforms]
        dataset.pipeline.transforms = timed
        made, start = 0, time.perf_counter()
        for index in itertools.cycle(range(len(dataset))):
            sample = dataset[index]
            made += len(sample) if isinstance(sample, list) else 1
            elapsed = time.perf_counter() - start
            if elapsed >= seconds:
                break
    return made / elapsed, {type(step.transform).__name__: step.seconds / made for step in timed}


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])
