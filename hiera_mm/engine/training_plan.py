"""Finds how to fit a config's training into a GPU's memory: precision, recomputed stages, and batch size."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hiera_mm.config import dicts_in
from hiera_mm.engine.training_memory import TrainedTask, TrainingMemory, in_several_processes, training_memory

from mmengine.config import Config, ConfigDict

RECOMPUTED_STAGES = (False, (True, True, False, False), True)
"""Settings of ``with_cp``, the fastest first; most activations are in the first two stages."""

CUDA_OVERHEAD = 2**30
USABLE_SHARE = 0.9
"""Assumed values: CUDA and its libraries take memory before the first tensor, and some is lost to fragmentation."""


@dataclass(frozen=True)
class TrainingSetup:
    """A precision and recomputed stages, and the memory that training then takes in a process.

    Attributes:
        autocast: Whether in half precision (``--amp``).
        with_cp: Stages that recompute, as for :class:`hiera_mm.models.Hiera`.
        memory: Memory of one process, in terms of clips or images.
        repeats: Clips per video, as batches of the data loader count videos.
    """

    autocast: bool
    with_cp: bool | Sequence[bool]
    memory: TrainingMemory
    repeats: int

    def peak(self, batch: int) -> int:
        """Peak memory in bytes for a batch of the data loader."""
        return self.memory.peak(batch * self.repeats)

    def peak_of_graphs(self, batch: int) -> int:
        """As :meth:`peak`, at most, where compiled parts are CUDA graphs: these keep the memory of both passes to
        themselves, and what is between them may need as much again."""
        return self.peak(batch) + self.memory.passes(batch * self.repeats)

    def largest_batch(self, gpu_memory: float) -> int:
        """The largest batch of the data loader that fits on a GPU of ``gpu_memory`` bytes."""
        return self.memory.largest_batch(USABLE_SHARE * gpu_memory - CUDA_OVERHEAD) // self.repeats


def training_setups(
    config: Config, task: TrainedTask, shape: Sequence[int], gpus: int, precisions: Sequence[bool] = (False, True)
) -> Iterator[TrainingSetup]:
    """Setups in each precision, with more and more recomputed stages.

    Args:
        config: The config of the run.
        task: Its task.
        shape: Height and width of the images or frames.
        gpus: Number of GPUs, with one process each.
        precisions: Values of ``autocast``; both by default.
    """
    dataset = config.train_dataloader.dataset
    crops = [step['num_samples'] for step in dicts_in(dataset.get('pipeline', ())) if 'num_samples' in step]
    repeats = dataset.get('num_repeats', 1) * math.prod(crops)
    for autocast in precisions:
        for with_cp in RECOMPUTED_STAGES:
            memory = training_memory(config, task, shape, autocast, with_cp)
            yield TrainingSetup(autocast, with_cp, in_several_processes(memory, config, gpus), repeats)


def fastest(setups: Sequence[TrainingSetup], batch: int, gpu_memory: float) -> TrainingSetup | None:
    """The first setup in half precision in which the batch fits into ``gpu_memory`` bytes, otherwise the one with the
    largest batch that fits; None if not even one sample fits."""
    fitting = [setup for setup in setups if setup.autocast and setup.largest_batch(gpu_memory)]
    whole = next((setup for setup in fitting if setup.largest_batch(gpu_memory) >= batch), None)
    return whole or max(fitting, key=lambda setup: setup.largest_batch(gpu_memory), default=None)


def pipeline_shape(pipeline: Sequence[ConfigDict], height_first: Sequence[str] = ()) -> tuple[int, int] | None:
    """Height and width of a pipeline's output, from the last step that sets a size; None if no step does.

    Args:
        pipeline: The steps.
        height_first: Keys whose two sides are (height, width); the others are (width, height).
    """
    for step in reversed(pipeline):
        for key in ('crop_size', 'size', 'scale'):
            side = step.get(key)
            if isinstance(side, int):
                return side, side
            if isinstance(side, list | tuple) and len(side) == 2:
                return tuple(side) if key in height_first else tuple(side[::-1])
    return None
