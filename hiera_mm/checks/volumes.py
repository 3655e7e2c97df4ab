"""Checks lists of volumes."""

import os
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from hiera_mm.checks.fault import DataPart, Fault, Severity, sample
from hiera_mm.checks.many_files import first_faults, open_in_parallel
from hiera_mm.config import dicts_in
from hiera_mm.datasets.volumes import LoadVolumes, pipeline_input
from hiera_mm.errors import UserError, examples, require_extra
from hiera_mm.readers.class_names import classes_from
from hiera_mm.readers.volumes import VolumePair, check_alignment, read_volume_list

import numpy as np

CHUNK_SIZE = 4
"""How many volumes a process opens at a time."""

INTENSITY_WINDOW = 'ScaleIntensityRanged'
MIN_SHARE_INSIDE = 0.01
"""Least share of an image's voxels that must lie inside the intensity window; the rest may be air and table."""


class VolumeResult(NamedTuple):
    """What checking one volume gives.

    Attributes:
        channels: Number of channels of the image.
        inside: Share of its voxels inside the intensity window; 1 without a window.
        values: The values in its labels.
        fault: What is wrong with the image or labels; empty if nothing.
    """

    channels: int
    inside: float
    values: tuple[int, ...]
    fault: str


def faults(part: DataPart) -> Iterator[Fault]:
    """All faults of a list of volumes; before training, only of the list and the files' headers, since each volume is
    checked again when it is loaded."""
    require_extra('monai', 'volumes')
    yield from _faults_of_rotation(part)
    dataset, with_labels = part.dataset, part.dataset.get('with_label', True)
    path = os.path.join(dataset.get('data_root') or '', dataset.ann_file)
    listed = read_volume_list(path, dataset.get('data_list_key', 'training'), with_labels)
    chosen = dataset.get('metainfo', {}).get('classes')
    classes = list(classes_from(chosen)) if chosen else listed.classes
    if with_labels:
        yield from _faults_of_classes(part, path, classes, listed.classes)
    if part.for_testing and dataset.get('data_list_key') != 'training':
        yield from _faults_of_parts(part, path, listed.pairs)
    wrong = [sentence for pair in listed.pairs if (sentence := _alignment_fault(pair))]
    yield from first_faults(part, wrong, 'volumes are faulty')
    if wrong or part.before_training or (with_labels and not classes):
        return
    yield from _faults_of_voxels(part, sample(listed.pairs, part.count), classes or [])


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


def _faults_of_parts(part: DataPart, path: str, pairs: list[VolumePair]) -> Iterator[Fault]:
    """Volumes that the same file also lists for training."""
    try:
        trained = {pair.image for pair in read_volume_list(path, 'training', with_labels=False).pairs}
    except UserError:
        return
    if both := [pair.image for pair in pairs if pair.image in trained]:
        yield Fault(
            Severity.NOTE,
            f"{part.key}: {examples(both)} of the volumes are also in the list 'training' of '{path}', so Dice says "
            'nothing about unseen volumes.',
        )


def _alignment_fault(pair: VolumePair) -> str:
    try:
        check_alignment(pair)
    except UserError as error:
        return str(error)
    return ''


def _faults_of_voxels(part: DataPart, pairs: list[VolumePair], classes: list[str]) -> Iterator[Fault]:
    window = _window(part)
    results = open_in_parallel(partial(_check_volume, len(classes), window), pairs, CHUNK_SIZE, 'Opening volumes')
    wrong = [result.fault for result in results if result.fault]
    yield from first_faults(part, wrong, 'volumes are faulty')
    if wrong:
        return
    channels = part.model.backbone.get('in_channels', 3)
    if others := [pair.image for pair, result in zip(pairs, results, strict=True) if result.channels != channels]:
        yield Fault(
            Severity.BLOCKS,
            f'{part.key}: {examples(others)} of the volumes do not have the {channels} channels that '
            'model.backbone.in_channels and model.decoder.image_channels say; correct these, or the volumes.',
        )
    outside = [pair.image for pair, result in zip(pairs, results, strict=True) if result.inside < MIN_SHARE_INSIDE]
    if outside and window:
        yield Fault(
            Severity.BLOCKS,
            f'{part.key}: {examples(outside)} of the volumes have nearly all voxels outside the intensities '
            f'{window[0]:g} to {window[1]:g} of {INTENSITY_WINDOW}, which maps all of them to one value; set a_min and '
            'a_max for these images (CT is in Hounsfield units, other modalities have no fixed unit).',
        )
    values = {value for result in results for value in result.values}
    if part.count is None and (unused := [name for number, name in enumerate(classes) if number not in values]):
        yield Fault(Severity.NOTE, f'{part.key}: no volume has the class {examples(unused)}.')


def _check_volume(count: int, window: tuple[float, float] | None, pair: VolumePair) -> VolumeResult:
    try:
        loaded = LoadVolumes()(pipeline_input(pair, count))
    except UserError as error:
        return VolumeResult(0, 1.0, (), str(error))
    image = loaded['image'].numpy()
    inside = 1.0 if window is None else float(((image > window[0]) & (image < window[1])).mean())
    values = np.unique(loaded['label']).astype(int).tolist() if pair.label is not None else []
    return VolumeResult(len(image), inside, tuple(values), '')


def _window(part: DataPart) -> tuple[float, float] | None:
    for step in dicts_in(part.dataset.get('pipeline', ())):
        if str(step.get('name')) == INTENSITY_WINDOW:
            return step['a_min'], step['a_max']
    return None
