"""How a config can be trained in a GPU's memory: in which precision, recomputing which stages, and with which batch."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hiera_mm.config import dicts_in
from hiera_mm.engine.training_memory import TrainingMemory, in_several_processes, training_memory

from mmengine.config import Config

WITH_CP = (False, (True, True, False, False), True)
"""Which stages recompute their activations, from the fastest way on; most activations are in the first two."""

LEFT_TO_CUDA = 2**30
USABLE = 0.9
"""Of a GPU's memory CUDA and its libraries take a part before the first tensor, and some is lost between tensors: both
are assumed."""

SIDES = ('crop_size', 'size', 'scale')
"""Keys of pipeline steps that hold the size of images."""


@dataclass(frozen=True)
class Way:
    """One way to train, and what it takes in a process.

    Attributes:
        autocast: Half precision (``--amp``).
        with_cp: Stages that recompute, as for :class:`hiera_mm.models.Hiera`.
        memory: In one process, in clips or images.
        repeats: Clips that the data loader makes of each video; its batches count videos.
    """

    autocast: bool
    with_cp: bool | Sequence[bool]
    memory: TrainingMemory
    repeats: int

    def peak(self, batch: int) -> int:
        """Bytes for a batch of the data loader."""
        return self.memory.peak(batch * self.repeats)

    def largest_batch(self, gpu_memory: float) -> int:
        """Of the data loader, on a GPU of ``gpu_memory`` bytes."""
        return self.memory.largest_batch(USABLE * gpu_memory - LEFT_TO_CUDA) // self.repeats


def ways_to_train(
    config: Config, shape: Sequence[int], gpus: int, precisions: Sequence[bool] = (False, True)
) -> Iterator[Way]:
    """In each precision with more and more stages that recompute.

    Args:
        config: Of any of this suite's models.
        shape: Height and width of the images or frames.
        gpus: Each with a process of its own.
        precisions: Whether in half precision; both by default.
    """
    dataset = config.train_dataloader.dataset
    crops = [step['num_samples'] for step in dicts_in(dataset.get('pipeline', ())) if 'num_samples' in step]
    repeats = dataset.get('num_repeats', 1) * math.prod(crops)
    for autocast in precisions:
        for with_cp in WITH_CP:
            memory = training_memory(config, shape, autocast, with_cp)
            yield Way(autocast, with_cp, in_several_processes(memory, config, gpus), repeats)


def fastest(ways: Sequence[Way], batch: int, gpu_memory: float) -> Way | None:
    """The first way in half precision in which the batch fits into ``gpu_memory`` bytes; if it never does, the one with
    the largest that does; None if there is none."""
    fitting = [way for way in ways if way.autocast and way.largest_batch(gpu_memory)]
    whole = next((way for way in fitting if way.largest_batch(gpu_memory) >= batch), None)
    return whole or max(fitting, key=lambda way: way.largest_batch(gpu_memory), default=None)


def input_shape(config: Config) -> tuple[int, int]:
    """Height and width of what a config trains on, by the last step of its pipeline that says so."""
    if 'input_size' in config.model:
        return tuple(config.model.input_size[-2:])
    if 'decoder' in config.model:
        return tuple(config.model.test_cfg.crop_size[-2:])
    for step in reversed(config.train_dataloader.dataset.pipeline):
        for key, side in ((key, step.get(key)) for key in SIDES):
            if isinstance(side, int):
                return side, side
            if isinstance(side, list | tuple) and len(side) == 2:
                return tuple(side) if rows_first(config, key) else tuple(side[::-1])
    return (1024, 1024) if 'neck' in config.model else (224, 224)


def rows_first(config: Config, key: str) -> bool:
    """Whether a key of pipeline steps means (height, width), as mmsegmentation's crops do; others are width first."""
    return key == 'crop_size' and config.get('default_scope') == 'mmseg'
