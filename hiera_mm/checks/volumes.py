"""Checks lists of volumes."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from hiera_mm.checks.fault import DataPart, Fault, Severity, sample
from hiera_mm.checks.many_files import first_faults, open_in_parallel
from hiera_mm.complexity import channels_of
from hiera_mm.config import dicts_in
from hiera_mm.datasets.volumes import LoadVolumes, pipeline_input
from hiera_mm.errors import UserError, examples, first_few, require_extra
from hiera_mm.readers.class_names import classes_from
from hiera_mm.readers.listed_volumes import VolumeList, VolumePair, read_volume_list
from hiera_mm.readers.volume_grids import channel_count, check_alignment, same_grid

import numpy as np
from mmengine.config import ConfigDict

CHUNK_SIZE = 4
"""How many volumes a process opens at a time."""

INTENSITY_WINDOW = 'ScaleIntensityRanged'
MIN_SHARE_INSIDE = 0.01
"""Least share of an image's voxels that must lie inside the intensity window; the rest may be air and table."""


class HeaderResult(NamedTuple):
    """What the headers of one volume say.

    Attributes:
        channels: Number of channels of the image.
        resampled: Whether its files have several grids.
        fault: What is wrong with them; empty if nothing.
    """

    channels: int
    resampled: bool
    fault: str


class Window(NamedTuple):
    """Intensities that a step of the pipeline keeps apart.

    Attributes:
        low, high: What is outside becomes one of these.
        channels: The channels that they are of; None for all.
    """

    low: float
    high: float
    channels: tuple[int, ...] | None


class VolumeResult(NamedTuple):
    """What checking one volume gives.

    Attributes:
        outside: The windows that hardly any of the image's voxels lie inside.
        values: The values in its labels.
        fault: What is wrong with the image or labels; empty if nothing.
    """

    outside: tuple[Window, ...]
    values: tuple[int, ...]
    fault: str


def faults(part: DataPart) -> Iterator[Fault]:
    """All faults of a list of volumes; before training, only of the list and the files' headers, since each volume is
    checked again when it is loaded."""
    require_extra('monai', 'volumes')
    yield from _faults_of_rotation(part)
    dataset, with_labels = part.dataset, part.dataset.get('with_label', True)
    path, listed = _read(dataset)
    chosen = dataset.get('metainfo', {}).get('classes')
    classes = list(classes_from(chosen)) if chosen else listed.classes
    if with_labels:
        yield from _faults_of_classes(part, path, classes, listed.classes)
    headers = [_headers(pair) for pair in listed.pairs]
    wrong = [result.fault for result in headers if result.fault]
    yield from first_faults(part, wrong, 'volumes are faulty')
    several = list(_faults_of_channels(part, listed.pairs, headers))
    yield from several
    yield from _notes_of_grids(part, listed.pairs, headers)
    if wrong or several or part.before_training or (with_labels and not classes):
        return
    yield from _faults_of_voxels(part, sample(listed.pairs, part.count), classes or [])


def faults_between(datasets: Sequence[ConfigDict]) -> Iterator[Fault]:
    """Volumes that are trained on and tested with."""
    trained, said = _trained_on(datasets), set[str]()
    for path, key, listed in _lists(datasets, for_testing=True):
        both = [pair.images[0] for pair in listed.pairs if os.path.realpath(pair.images[0]) in trained]
        sentence = (
            f"{examples(both)} of the volumes that are tested with ('{key}' of '{path}') are also in the list "
            "'training', so Dice says nothing about unseen volumes."
        )
        if both and sentence not in said:
            yield Fault(Severity.NOTE, sentence)
        said.add(sentence)


def _trained_on(datasets: Sequence[ConfigDict]) -> set[str]:
    found = _lists(datasets, for_testing=False)
    return {os.path.realpath(pair.images[0]) for _, _, listed in found for pair in listed.pairs}


def _lists(datasets: Sequence[ConfigDict], for_testing: bool) -> Iterator[tuple[str, str, VolumeList]]:
    """File, key and content of the lists that can be read; of others it is told elsewhere."""
    for dataset in datasets:
        if bool(dataset.get('test_mode')) == for_testing:
            try:
                path, listed = _read(dataset)
            except UserError:
                continue
            yield path, dataset.get('data_list_key', 'training'), listed


def _read(dataset: ConfigDict) -> tuple[str, VolumeList]:
    """The path of a data set's list, and its content."""
    path = os.path.join(dataset.get('data_root') or '', dataset.ann_file)
    key, with_labels = dataset.get('data_list_key', 'training'), dataset.get('with_label', True)
    return path, read_volume_list(path, key, with_labels, dataset.get('fold'))


def _faults_of_rotation(part: DataPart) -> Iterator[Fault]:
    """Quarter turns would change the size of crops that are not square."""
    steps = list(dicts_in(part.dataset.get('pipeline', ())))
    sizes = [tuple(step[key]) for step in steps for key in ('spatial_size', 'roi_size') if step.get(key)]
    if any(step.get('name') == 'RandRotate90d' for step in steps):
        for size in (size for size in sizes if size[0] != size[1]):
            yield Fault(
                Severity.BLOCKS,
                f'{part.key}: crops of {size} are not as wide as high, but the pipeline rotates them by quarter turns '
                '(RandRotate90d), so that they could not form a batch; make crop_size at the top of the config as wide '
                'as high, or take the step out.',
            )
            return


def _faults_of_classes(
    part: DataPart, path: str, classes: list[str] | None, in_file: list[str] | None
) -> Iterator[Fault]:
    if not classes:
        yield Fault(
            Severity.BLOCKS,
            f"{part.key}: the classes of the labels are not named; give the list of volumes '{path}' "
            '"labels": {"0": "background", ...}, or set metainfo = dict(classes=(...)) of the data set.',
        )
        return
    for key, predicted in part.class_places:
        if predicted != len(classes):
            yield Fault(
                Severity.BLOCKS,
                f'The model predicts {predicted} classes ({key}), but {part.key} has {len(classes)} (the background '
                f'is one); set {key}={len(classes)}, or correct the classes.',
            )
    if in_file and classes != in_file and len(classes) == len(in_file):
        yield Fault(
            Severity.NOTE,
            f"{part.key}: the config's class names differ from 'labels' in '{path}'; classes are matched by number.",
        )
    elif in_file and len(classes) != len(in_file):
        yield Fault(
            Severity.BLOCKS,
            f"{part.key} has {len(classes)} classes, but 'labels' in '{path}' has {len(in_file)}; name all of them.",
        )


def _headers(pair: VolumePair) -> HeaderResult:
    try:
        headers = check_alignment(pair)
    except UserError as error:
        return HeaderResult(0, False, str(error))
    return HeaderResult(channel_count(headers), not all(same_grid(headers[0], other) for other in headers[1:]), '')


def _faults_of_channels(part: DataPart, pairs: list[VolumePair], headers: list[HeaderResult]) -> Iterator[Fault]:
    """Volumes, settings and the model must agree about the number of channels."""
    channels = channels_of(part.model)
    if part.dataset.get('channels') not in (None, channels):
        yield Fault(
            Severity.BLOCKS,
            f'{part.key} has channels = {part.dataset.channels}, but model.backbone.in_channels is {channels}; set '
            'channels at the top of the config, which sets both, and nothing else.',
        )
        return
    named = {number for step in dicts_in(part.dataset.get('pipeline', ())) for number in step.get('channels') or ()}
    if named and named != set(range(channels)):
        yield Fault(
            Severity.BLOCKS,
            f'{part.key}: intensity_range has entries for the channels {first_few(sorted(named), 9)}, but there are '
            f'channels = {channels}, counted from 0; give it an entry for each channel, or one for all.',
        )
    counts = {pair.images[0]: found.channels for pair, found in zip(pairs, headers, strict=True)}
    yield from _faults_of_counts(part, counts)


def _faults_of_counts(part: DataPart, counts: dict[str, int]) -> Iterator[Fault]:
    """Volumes with another number of channels than the model takes, among those whose files can be used."""
    channels = channels_of(part.model)
    counts = {path: count for path, count in counts.items() if count}
    others = [f'{path} has {count}' for path, count in counts.items() if count != channels]
    if len(set(counts.values())) == 1 and others:
        (count,) = set(counts.values())
        yield Fault(
            Severity.BLOCKS,
            f"{part.key}: all volumes, such as {next(iter(counts))}, have {count} channels (files of an entry's "
            f'"image", or NIfTI\'s fourth axis), but the model takes {channels}; set channels = {count} at the top of '
            'the config.',
        )
    elif others:
        ((most, _),) = Counter(counts.values()).most_common(1)
        unlike = [f'{path} has {count}' for path, count in counts.items() if count != most]
        yield Fault(
            Severity.BLOCKS,
            f'{part.key}: not all volumes have as many channels (files of an entry\'s "image", or NIfTI\'s fourth '
            f'axis): most have {most}, but not {examples(unlike)}; correct the list, so that each has the same in the '
            'same order, and set channels to their number at the top of the config.',
        )


def _notes_of_grids(part: DataPart, pairs: list[VolumePair], headers: list[HeaderResult]) -> Iterator[Fault]:
    if found := [pair.images[0] for pair, result in zip(pairs, headers, strict=True) if result.resampled]:
        yield Fault(
            Severity.NOTE,
            f'{part.key}: {examples(found)} of the volumes have files with other voxels than their first one, at whose '
            'voxels they are interpolated.',
        )


def _faults_of_voxels(part: DataPart, pairs: list[VolumePair], classes: list[str]) -> Iterator[Fault]:
    windows = _windows(part)
    results = open_in_parallel(partial(_check_volume, len(classes), windows), pairs, CHUNK_SIZE, 'Opening volumes')
    wrong = [result.fault for result in results if result.fault]
    yield from first_faults(part, wrong, 'volumes are faulty')
    if wrong:
        return
    for window in windows:
        outside = [pair.images[0] for pair, result in zip(pairs, results, strict=True) if window in result.outside]
        if outside:
            yield Fault(Severity.BLOCKS, _about_window(part, window, outside))
    values = {value for result in results for value in result.values}
    if part.count is None and (unused := [name for number, name in enumerate(classes) if number not in values]):
        yield Fault(Severity.NOTE, f'{part.key}: no volume has the class {examples(unused)}.')


def _about_window(part: DataPart, window: Window, outside: list[str]) -> str:
    of_channels = f' in the channels {first_few(window.channels)}' if window.channels else ''
    return (
        f'{part.key}: {examples(outside)} of the volumes have nearly all voxels{of_channels} outside the intensities '
        f'{window.low:g} to {window.high:g} of {INTENSITY_WINDOW}, which maps all of them to one value; set a_min and '
        'a_max for these images, by intensity_range at the top of the config (CT is in Hounsfield units, other '
        "modalities have no fixed unit: 'zscore' or None)."
    )


def _check_volume(count: int, windows: list[Window], pair: VolumePair) -> VolumeResult:
    try:
        loaded = LoadVolumes()(pipeline_input(pair, count))
    except UserError as error:
        return VolumeResult((), (), str(error))
    image = loaded['image'].numpy()
    outside = tuple(window for window in windows if _share_inside(image, window) < MIN_SHARE_INSIDE)
    values = np.unique(loaded['label']).astype(int).tolist() if pair.label is not None else []
    return VolumeResult(outside, tuple(values), '')


def _share_inside(image: np.ndarray, window: Window) -> float:
    chosen = image if window.channels is None else image[list(window.channels)]
    return float(((chosen > window.low) & (chosen < window.high)).mean())


def _windows(part: DataPart) -> list[Window]:
    return [
        Window(step['a_min'], step['a_max'], tuple(step['channels']) if step.get('channels') else None)
        for step in dicts_in(part.dataset.get('pipeline', ()))
        if str(step.get('name')) == INTENSITY_WINDOW
    ]
