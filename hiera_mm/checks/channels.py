"""Checks that images, the step that loads them and the model have the same channels, and computes their mean and
deviation."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from hiera_mm.checks.fault import DataPart, Fault, Severity, sample
from hiera_mm.checks.many_files import first_faults, open_in_parallel
from hiera_mm.config import in_scope_named
from hiera_mm.readers.channel_statistics import mean_and_deviation, rounded, sums_of
from hiera_mm.readers.channels import ChannelReader, channel_reader, loading_step

import numpy as np
from mmengine.registry import DATASETS

MAX_IMAGES = 2000
"""How many images of a set are opened."""

CHUNK_SIZE = 16

COLOURS = [123.675, 116.28, 103.53]
"""ImageNet's mean of red, green and blue, which configs have unless they set others."""

FAR = 0.1
"""How far the config's mean may be from the images', in deviations, and its deviation, as a share, without a note."""


def faults(part: DataPart, scope: str | None) -> Iterator[Fault]:
    """All faults of a data set's channels; before training no image is opened."""
    step = loading_step(part.dataset.get('pipeline'))
    backbone = part.model.get('backbone')
    loaded, taken = _channels_of(step), (backbone or {}).get('in_channels', 3)
    if loaded is None or backbone is None:
        return
    if loaded != taken:
        yield Fault(
            Severity.BLOCKS,
            f'{part.key} loads images of {loaded} channels, but the model takes {taken} (model.backbone.in_channels); '
            'set channels = NUMBER at the top of the config, which sets both.',
        )
        return
    reader = channel_reader(step.get('channels', 3), step.get('channel_files'))
    preprocessor = part.model.get('data_preprocessor') or {}
    fits = len(preprocessor.get('mean') or ()) in (0, 1, loaded)
    remote = bool(part.dataset.get('backend_args'))
    if part.before_training or reader is None or remote:
        if not fits:
            yield _fault_of_mean(preprocessor, loaded, 'hiera-mm check-data prints those of the training images')
        elif reader is not None and list(preprocessor.get('mean') or ()) == COLOURS and not remote:
            yield from _fault_of_bytes(part, reader, scope)
        return
    paths = sample(_paths(part, step, scope), MAX_IMAGES)
    results = open_in_parallel(partial(sums_of, reader), paths, CHUNK_SIZE, 'Reading channels')
    wrong = [found.fault for found in results if found.fault]
    yield from first_faults(part, wrong, 'images are faulty')
    if wrong or part.for_testing:
        return
    mean, deviation = mean_and_deviation(results)
    measured = f'those of the {len(paths)} training images are mean = {rounded(mean)} and std = {rounded(deviation)}'
    if not fits:
        yield _fault_of_mean(preprocessor, loaded, measured)
    elif _is_far(preprocessor, mean, deviation):
        sentence = f'{part.key}: mean and std of the config are others than the images have: {measured}.'
        yield Fault(Severity.NOTE, sentence)


def _channels_of(step: Mapping[str, Any]) -> int | None:
    """How many channels a step loads; None if it doesn't say."""
    if not step or step.get('color_type', 'color') == 'unchanged':
        return None
    return 1 if step.get('color_type') == 'grayscale' else step.get('channels', 3)


def _fault_of_mean(preprocessor: Mapping[str, Any], channels: int, those: str) -> Fault:
    given, wanted = (
        f'{number} {word}{"s" * (number > 1)}'
        for number, word in ((len(preprocessor['mean']), 'number'), (channels, 'channel'))
    )
    return Fault(
        Severity.BLOCKS,
        f'Images have {wanted}, but mean and std have {given}; set both at the top of the config ({those}).',
    )


def _fault_of_bytes(part: DataPart, reader: ChannelReader, scope: str | None) -> Iterator[Fault]:
    """The mean of colours in bytes for images of other numbers."""
    step = loading_step(part.dataset.get('pipeline'))
    path = next(iter(_paths(part, step, scope)), None)
    if path is not None and reader.read(path).dtype != np.uint8:
        yield Fault(
            Severity.BLOCKS,
            f"The images of {part.key}, such as '{path}', are no bytes, but mean and std are those of colours in "
            'bytes; set both at the top of the config (hiera-mm check-data prints those of the training images).',
        )


def _paths(part: DataPart, step: Mapping[str, Any], scope: str | None) -> list[str]:
    with in_scope_named(scope or 'mmengine'):
        # How images are loaded may say which files are images.
        steps = [step] if step.get('channel_files') else []
        built: Any = DATASETS.build(dict(part.dataset, type=part.dataset_class, pipeline=steps))
        return [built.get_data_info(number)['img_path'] for number in range(len(built))]


def _is_far(preprocessor: Mapping[str, Any], mean: np.ndarray, deviation: np.ndarray) -> bool:
    if not preprocessor.get('mean'):
        return True
    shift = np.abs(np.array(preprocessor['mean']) - mean) / deviation
    return bool((shift > FAR).any() or (np.abs(np.array(preprocessor['std']) / deviation - 1) > FAR).any())
