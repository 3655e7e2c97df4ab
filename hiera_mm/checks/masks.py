"""What is wrong with sets of photographs and index masks."""

import inspect
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.checks.fault import DataPart, Fault, Severity, classes_of, sample
from hiera_mm.checks.opening import first_faults, opened_at_once
from hiera_mm.datasets.segmentation import SegmentationDataset
from hiera_mm.errors import UserError, examples
from hiera_mm.readers.index_masks import (
    IGNORED,
    Pair,
    find_pairs,
    must_be_classes,
    must_have_size,
    read_mask,
)
from hiera_mm.readers.pictures import read_picture

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from mmseg.datasets import BaseSegDataset

BEFORE_TRAINING = 200
"""Masks that are opened before training; each is checked again when it is loaded."""

AT_ONCE = 64


class Opened(NamedTuple):
    """Of one mask.

    Attributes:
        values: That it holds.
        turned: Whether EXIF turns its picture.
        fault: What is wrong with either; empty if nothing.
    """

    values: tuple[int, ...]
    turned: bool
    fault: str


def reads_masks(kind: type) -> bool:
    """Whether a set lies in two folders, as most of mmsegmentation's do."""
    reader = getattr(kind, 'load_data_list', None)
    return reader in (BaseSegDataset.load_data_list, SegmentationDataset.load_data_list)


def names_classes(dataset: ConfigDict, kind: type[BaseDataset]) -> bool:
    return bool(dataset.get('metainfo', {}).get('classes') or kind.METAINFO)


def faults(part: DataPart) -> Iterator[Fault]:
    """All faults of a set of mmsegmentation's kind; before training of some of its masks."""
    if part.dataset.get('backend_args') or not reads_masks(part.kind):
        return
    if not names_classes(part.dataset, part.kind):
        yield Fault(
            Severity.BLOCKS,
            f"{part.key}: the classes of the masks are not named; set classes = ('background', ...) at the top of the "
            'config, in the order of their numbers.',
        )
        return
    yield from _faults_of_classes(part)
    count = count_of_numbers(part.dataset, part.kind)
    pairs = [pair for pair in pairs_of(part.dataset, part.kind) if pair.mask is not None]
    chosen = sample(pairs, BEFORE_TRAINING if part.before_training else part.count)
    words = None if part.before_training else 'Opening masks'
    opened = opened_at_once(partial(_open, count), chosen, AT_ONCE, words)
    wrong = [found.fault for found in opened if found.fault]
    yield from first_faults(part, wrong, 'masks are faulty')
    if not wrong:
        yield from _faults_of_values(part, {value for found in opened for value in found.values})
    if turned := [pair.picture.name for pair, found in zip(chosen, opened, strict=True) if found.turned]:
        yield Fault(
            Severity.NOTE,
            f'{part.key}: {examples(turned)} of the pictures are turned by their EXIF data; their masks are taken to '
            'show them so, as viewers and annotation tools do.',
        )


def count_of_numbers(dataset: ConfigDict, kind: Any) -> int:
    """How many numbers have a meaning in a mask's file of a set, from 0 on."""
    named = kind.METAINFO.get('classes') or classes_of(dataset, kind)
    return len(named) + bool(setting_of(dataset, kind, 'reduce_zero_label'))


def _faults_of_classes(part: DataPart) -> Iterator[Fault]:
    number = len(classes_of(part.dataset, part.kind))
    for place, predicted in part.class_places:
        if predicted != number:
            yield Fault(
                Severity.BLOCKS,
                f'The model predicts {predicted} classes ({place}), but {part.key} has {number}; set {place}={number}, '
                'or classes = (...) at the top of the config, which reaches every head.',
            )


def pairs_of(dataset: ConfigDict, kind: type) -> list[Pair]:
    """The photographs and masks of a set, as it finds them itself.

    Raises:
        UserError: as :func:`hiera_mm.readers.index_masks.find_pairs`.
    """
    prefix, root = dataset.get('data_prefix', {}), Path(dataset.get('data_root') or '')
    masks, listed = prefix.get('seg_map_path'), dataset.get('ann_file')
    return find_pairs(
        root / prefix.get('img_path', ''),
        root / masks if masks else None,
        setting_of(dataset, kind, 'img_suffix'),
        setting_of(dataset, kind, 'seg_map_suffix'),
        root / listed if listed else '',
    )


def setting_of(dataset: ConfigDict, kind: Any, name: str) -> Any:
    """Of the config, or the default of the first class in the set's line that has one."""
    if name in dataset:
        return dataset[name]
    found = (inspect.signature(owner).parameters.get(name) for owner in kind.__mro__)
    return next(parameter.default for parameter in found if parameter is not None)


def _open(count: int, pair: Pair) -> Opened:
    path = pair.mask or ''
    try:
        mask, header = read_mask(path), read_picture(pair.picture)
        must_have_size(path, mask, header.displayed[::-1])
        must_be_classes(path, mask, count)
    except UserError as error:
        return Opened((), False, str(error))
    return Opened(tuple(np.unique(mask).tolist()), header.orientation != 1, '')


def _faults_of_values(part: DataPart, held: set[int]) -> Iterator[Fault]:
    """Of all masks together."""
    if held <= {0, IGNORED} and IGNORED in held:
        yield Fault(
            Severity.BLOCKS,
            f'{part.key}: the masks hold nothing but 0 and {IGNORED}, and {IGNORED} is neither trained nor scored; '
            'write 1 for the second class.',
        )
    elif part.count is None and not part.kind.METAINFO:
        names = classes_of(part.dataset, part.kind)
        first = bool(setting_of(part.dataset, part.kind, 'reduce_zero_label'))
        if absent := [name for number, name in enumerate(names, start=first) if number not in held]:
            yield Fault(Severity.NOTE, f'{part.key}: no mask has the class {examples(absent)}.')
