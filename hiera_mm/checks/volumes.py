"""What is wrong with lists of volumes."""

import os
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from hiera_mm.checks.fault import DataPart, Fault, Severity, sample
from hiera_mm.checks.opening import first_faults, opened_at_once
from hiera_mm.config import dicts_in
from hiera_mm.datasets.volumes import LoadVolumes, item_of
from hiera_mm.errors import UserError, examples, require_extra
from hiera_mm.readers.class_names import classes_from
from hiera_mm.readers.volumes import VolumePair, must_have_one_place, read_volume_list

import numpy as np

AT_ONCE = 4
"""Volumes that a process opens at a time."""

WINDOW = 'ScaleIntensityRanged'
FEWEST_INSIDE = 0.01
"""Share of an image's voxels that must lie inside the window of intensities, air and table apart."""


class Opened(NamedTuple):
    """Of one volume.

    Attributes:
        channels: Of the image.
        inside: Share of its voxels between the ends of the window of intensities; 1 without one.
        values: Of its labels.
        fault: What is wrong with either; empty if nothing.
    """

    channels: int
    inside: float
    values: tuple[int, ...]
    fault: str


def faults(part: DataPart) -> Iterator[Fault]:
    """All faults of a list of volumes; before training of the list and of what files say of themselves, as each volume
    is checked again when it is loaded."""
    require_extra('monai', 'volumes')
    yield from _faults_of_turns(part)
    dataset, with_labels = part.dataset, part.dataset.get('with_label', True)
    path = os.path.join(dataset.get('data_root') or '', dataset.ann_file)
    listed = read_volume_list(path, dataset.get('data_list_key', 'training'), with_labels)
    chosen = dataset.get('metainfo', {}).get('classes')
    classes = list(classes_from(chosen)) if chosen else listed.classes
    if with_labels:
        yield from _faults_of_classes(part, path, classes, listed.classes)
    if part.for_testing and dataset.get('data_list_key') != 'training':
        yield from _faults_of_parts(part, path, listed.pairs)
    wrong = [sentence for pair in listed.pairs if (sentence := _fault_of_place(pair))]
    yield from first_faults(part, wrong, 'volumes are faulty')
    if wrong or part.before_training or (with_labels and not classes):
        return
    yield from _faults_of_voxels(part, sample(listed.pairs, part.count), classes or [])


def _faults_of_turns(part: DataPart) -> Iterator[Fault]:
    """Crops that quarter turns would give other sides."""
    steps = list(dicts_in(part.dataset.get('pipeline', ())))
    sizes = [tuple(step[key]) for step in steps for key in ('spatial_size', 'roi_size') if step.get(key)]
    if any(step.get('name') == 'RandRotate90d' for step in steps):
        for size in (size for size in sizes if size[0] != size[1]):
            yield Fault(
                Severity.BLOCKS,
                f'{part.key}: crops of {size} are not as wide as high, but the pipeline turns them by quarters '
                '(RandRotate90d), so that they would not fit together; make crop_size at the top of the config as wide '
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
    for place, predicted in part.class_places:
        if predicted != len(classes):
            yield Fault(
                Severity.BLOCKS,
                f'The model predicts {predicted} classes ({place}), but {part.key} has {len(classes)} (the background '
                f'is one); set {place}={len(classes)}, or correct the classes.',
            )
    if in_file and classes != in_file and len(classes) == len(in_file):
        yield Fault(
            Severity.NOTE,
            f"{part.key}: the config names its classes otherwise than 'labels' in '{path}'; the numbers count.",
        )
    elif in_file and len(classes) != len(in_file):
        yield Fault(
            Severity.BLOCKS,
            f"{part.key} has {len(classes)} classes, but 'labels' in '{path}' has {len(in_file)}; name all of them.",
        )


def _faults_of_parts(part: DataPart, path: str, pairs: list[VolumePair]) -> Iterator[Fault]:
    """Of volumes that the same file lists for training as well."""
    try:
        trained = {pair.image for pair in read_volume_list(path, 'training', with_labels=False).pairs}
    except UserError:
        return
    if both := [pair.image for pair in pairs if pair.image in trained]:
        yield Fault(
            Severity.NOTE,
            f"{part.key}: {examples(both)} of the volumes are in the list 'training' of '{path}', too; Dice says "
            'nothing about others then.',
        )


def _fault_of_place(pair: VolumePair) -> str:
    try:
        must_have_one_place(pair)
    except UserError as error:
        return str(error)
    return ''


def _faults_of_voxels(part: DataPart, pairs: list[VolumePair], classes: list[str]) -> Iterator[Fault]:
    window = _window(part)
    opened = opened_at_once(partial(_open, len(classes), window), pairs, AT_ONCE, 'Opening volumes')
    wrong = [found.fault for found in opened if found.fault]
    yield from first_faults(part, wrong, 'volumes are faulty')
    if wrong:
        return
    channels = part.model.backbone.get('in_channels', 3)
    if others := [pair.image for pair, found in zip(pairs, opened, strict=True) if found.channels != channels]:
        yield Fault(
            Severity.BLOCKS,
            f'{part.key}: {examples(others)} of the volumes have not the {channels} channels that '
            'model.backbone.in_channels and model.decoder.image_channels say; correct these, or the volumes.',
        )
    outside = [pair.image for pair, found in zip(pairs, opened, strict=True) if found.inside < FEWEST_INSIDE]
    if outside and window:
        yield Fault(
            Severity.BLOCKS,
            f'{part.key}: of {examples(outside)} of the volumes nearly all voxels lie outside of the intensities '
            f'{window[0]:g} to {window[1]:g} of {WINDOW}, which makes them all one; set a_min and a_max for these '
            "images (CT's are in Hounsfield units, others are in none).",
        )
    held = {value for found in opened for value in found.values}
    if part.count is None and (absent := [name for number, name in enumerate(classes) if number not in held]):
        yield Fault(Severity.NOTE, f'{part.key}: no volume has the class {examples(absent)}.')


def _open(count: int, window: tuple[float, float] | None, pair: VolumePair) -> Opened:
    try:
        loaded = LoadVolumes()(item_of(pair, count))
    except UserError as error:
        return Opened(0, 1.0, (), str(error))
    image = loaded['image'].numpy()
    inside = 1.0 if window is None else float(((image > window[0]) & (image < window[1])).mean())
    values = np.unique(loaded['label']).astype(int).tolist() if pair.label is not None else []
    return Opened(len(image), inside, tuple(values), '')


def _window(part: DataPart) -> tuple[float, float] | None:
    for step in dicts_in(part.dataset.get('pipeline', ())):
        if str(step.get('name')) == WINDOW:
            return step['a_min'], step['a_max']
    return None
