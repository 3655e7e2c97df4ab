"""Checks sets of images and index masks."""

import inspect
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.checks.fault import DataPart, Fault, Severity, classes_of, sample
from hiera_mm.checks.many_files import first_faults, open_in_parallel
from hiera_mm.datasets.segmentation import SegmentationDataset
from hiera_mm.errors import UserError, examples
from hiera_mm.readers.channels import loading_step
from hiera_mm.readers.images import read_image_header
from hiera_mm.readers.index_masks import (
    IGNORED,
    Pair,
    check_mask_size,
    check_mask_values,
    find_pairs,
    read_mask,
)

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from mmseg.datasets import BaseSegDataset

MAX_BEFORE_TRAINING = 200
"""How many masks are opened before training; each is checked again when it is loaded."""

CHUNK_SIZE = 64


class MaskResult(NamedTuple):
    """What checking one mask gives.

    Attributes:
        values: The values in the mask.
        rotated: Whether EXIF rotates its image.
        fault: What is wrong with the mask or its image; empty if nothing.
    """

    values: tuple[int, ...]
    rotated: bool
    fault: str


def reads_masks(dataset_class: type) -> bool:
    """Whether a data set class reads a folder of images and a folder of masks, as most of mmsegmentation's do."""
    reader = getattr(dataset_class, 'load_data_list', None)
    return reader in (BaseSegDataset.load_data_list, SegmentationDataset.load_data_list)


def names_classes(dataset: ConfigDict, dataset_class: type[BaseDataset]) -> bool:
    return bool(dataset.get('metainfo', {}).get('classes') or dataset_class.METAINFO)


def faults(part: DataPart) -> Iterator[Fault]:
    """All faults of a set in mmsegmentation's layout; before training, only some of its masks are opened."""
    if part.dataset.get('backend_args') or not reads_masks(part.dataset_class):
        return
    if not names_classes(part.dataset, part.dataset_class):
        yield Fault(
            Severity.BLOCKS,
            f"{part.key}: the classes of the masks are not named; set classes = ('background', ...) at the top of the "
            'config, in the order of their numbers.',
        )
        return
    yield from _faults_of_classes(part)
    count = count_mask_values(part.dataset, part.dataset_class)
    pairs = [pair for pair in image_mask_pairs(part.dataset, part.dataset_class) if pair.mask is not None]
    chosen = sample(pairs, MAX_BEFORE_TRAINING if part.before_training else part.count)
    words = None if part.before_training else 'Opening masks'
    ignored = dataset_setting(part.dataset, part.dataset_class, 'ignore_index')
    results = open_in_parallel(partial(_check_mask, count, ignored), chosen, CHUNK_SIZE, words)
    wrong = [result.fault for result in results if result.fault]
    yield from first_faults(part, wrong, 'masks are faulty')
    if not wrong:
        yield from _faults_of_values(part, {value for result in results for value in result.values})
    if rotated := [pair.image.name for pair, result in zip(chosen, results, strict=True) if result.rotated]:
        yield Fault(
            Severity.NOTE,
            f'{part.key}: {examples(rotated)} of the images are rotated by their EXIF data; their masks are taken to '
            'fit the rotated images, as viewers and annotation tools show them.',
        )


def count_mask_values(dataset: ConfigDict, dataset_class: Any) -> int:
    """How many values, counted from 0, have a meaning in a set's mask files."""
    named = dataset_class.METAINFO.get('classes') or classes_of(dataset, dataset_class)
    return len(named) + bool(dataset_setting(dataset, dataset_class, 'reduce_zero_label'))


def _faults_of_classes(part: DataPart) -> Iterator[Fault]:
    number = len(classes_of(part.dataset, part.dataset_class))
    for key, predicted in part.class_places:
        if predicted != number:
            yield Fault(
                Severity.BLOCKS,
                f'The model predicts {predicted} classes ({key}), but {part.key} has {number}; set {key}={number}, or '
                'classes = (...) at the top of the config, which reaches every head.',
            )


def image_mask_pairs(dataset: ConfigDict, dataset_class: type) -> list[Pair]:
    """The images and masks of a set, found as the data set itself finds them.

    Raises:
        UserError: as :func:`hiera_mm.readers.index_masks.find_pairs`.
    """
    prefix, root = dataset.get('data_prefix', {}), Path(dataset.get('data_root') or '')
    masks, listed = prefix.get('seg_map_path'), dataset.get('ann_file')
    return find_pairs(
        root / prefix.get('img_path', ''),
        root / masks if masks else None,
        dataset_setting(dataset, dataset_class, 'img_suffix'),
        dataset_setting(dataset, dataset_class, 'seg_map_suffix'),
        root / listed if listed else '',
        loading_step(dataset.get('pipeline')).get('channel_files'),
    )


def dataset_setting(dataset: ConfigDict, dataset_class: Any, name: str) -> Any:
    """A setting from a data set's config, or its default in the set's class or the nearest parent that has it."""
    if name in dataset:
        return dataset[name]
    found = (inspect.signature(owner).parameters.get(name) for owner in dataset_class.__mro__)
    return next(parameter.default for parameter in found if parameter is not None)


def _check_mask(count: int, ignored: int, pair: Pair) -> MaskResult:
    path = pair.mask or ''
    try:
        mask, header = read_mask(path), read_image_header(pair.image)
        check_mask_size(path, mask, header.displayed[::-1])
        check_mask_values(path, mask, count, ignored)
    except UserError as error:
        return MaskResult((), False, str(error))
    return MaskResult(tuple(np.unique(mask).tolist()), header.orientation != 1, '')


def _faults_of_values(part: DataPart, values: set[int]) -> Iterator[Fault]:
    """Faults of the values in all masks together."""
    if values <= {0, IGNORED} and IGNORED in values:
        yield Fault(
            Severity.BLOCKS,
            f'{part.key}: the masks hold only 0 and {IGNORED}, and {IGNORED} is neither trained nor scored; '
            'write 1 for the second class.',
        )
    elif part.count is None and not part.dataset_class.METAINFO:
        names = classes_of(part.dataset, part.dataset_class)
        first = bool(dataset_setting(part.dataset, part.dataset_class, 'reduce_zero_label'))
        if unused := [name for number, name in enumerate(names, start=first) if number not in values]:
            yield Fault(Severity.NOTE, f'{part.key}: no mask has the class {examples(unused)}.')
