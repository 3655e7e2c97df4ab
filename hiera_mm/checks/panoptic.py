"""Checks panoptic data in COCO's format: the annotation file, the images, and the segment maps."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hiera_mm.checks.coco import annotation_file, image_folder
from hiera_mm.checks.coco_images import faults_of_images, missing_files
from hiera_mm.checks.fault import DataPart, Fault, Severity, sample
from hiera_mm.checks.many_files import first_faults, open_in_parallel
from hiera_mm.datasets.panoptic import CocoPanopticDataset, with_things_and_stuff
from hiera_mm.errors import UserError, examples
from hiera_mm.readers.images import image_size
from hiera_mm.readers.panoptic_files import PanopticFile, read_panoptic
from hiera_mm.readers.segment_maps import check_segments, read_segment_map

import numpy as np
from mmengine.config import ConfigDict

MAX_BEFORE_TRAINING = 200
"""How many segment maps are opened before training; each is checked again when it is loaded."""

CHUNK_SIZE = 64

MAX_ELSEWHERE_SHARE = 0.1
"""If a larger share of the boxes lie elsewhere than their segments, the maps are taken to belong to other images."""


def reads_panoptic(dataset_class: type) -> bool:
    """Whether a data set class reads panoptic files as this package's does."""
    reader = getattr(dataset_class, 'load_data_list', None)
    return reader is CocoPanopticDataset.load_data_list


def things_and_stuff(dataset: ConfigDict, dataset_class: type) -> tuple[Sequence[str], Sequence[str]]:
    """The names of a set's things and of its stuff.

    Raises:
        UserError: for names that contradict each other.
    """
    named = with_things_and_stuff(dict(dataset.get('metainfo') or {})) or {}
    known = {**getattr(dataset_class, 'METAINFO', {}), **named}
    return known['thing_classes'], known['stuff_classes']


def faults(part: DataPart) -> Iterator[Fault]:
    """All faults of a set whose class :func:`reads_panoptic`; sets in a remote store are skipped."""
    if part.dataset.get('backend_args'):
        return
    images = image_folder(part)
    file = read_panoptic(annotation_file(part.dataset), f'{part.key}.ann_file', without_annotations=part.for_testing)
    things, stuff = things_and_stuff(part.dataset, part.dataset_class)
    labels = file.labels(things, stuff, some_suffice=part.for_testing)
    yield from (Fault(Severity.BLOCKS, sentence) for sentence in _faults_of_heads(part, len(things), len(stuff)))
    yield from (Fault(Severity.NOTE, sentence) for sentence in file.repairs)
    yield from _faults_of_segments(part, file, labels, [*things, *stuff])
    yield from faults_of_images(part, file, images)
    if file.annotations:
        yield from _faults_of_maps(part, file, images)


def _faults_of_heads(part: DataPart, things: int, stuff: int) -> Iterator[str]:
    for key, predicted in part.class_places:
        kind, number = ('things', things) if key.endswith('num_things_classes') else ('stuff', stuff)
        if predicted != number:
            yield (
                f'The model predicts {predicted} classes of {kind} ({key}), but {part.key} has {number}; set '
                'thing_classes and stuff_classes at the top of the config, for all data sets and heads.'
            )


def _faults_of_segments(part: DataPart, file: PanopticFile, labels: dict, names: Sequence[str]) -> Iterator[Fault]:
    category_names = {category['id']: category['name'] for category in file.categories}
    other = sorted(
        {
            f"'{category_names[s['category_id']]}'"
            for a in file.annotations
            for s in a['segments_info']
            if s['category_id'] not in labels
        }
    )
    if other:
        yield Fault(
            Severity.NOTE,
            f"{part.key}: '{file.path}' has segments of {examples(other)} categories that are no classes of the "
            'config; they are neither trained nor scored.',
        )
    segments = Counter(
        names[labels[s['category_id']]]
        for a in file.annotations
        for s in a['segments_info']
        if s['category_id'] in labels and not s['iscrowd']
    )
    if file.annotations and not segments:
        yield Fault(
            Severity.FAULT if part.for_testing else Severity.BLOCKS,
            f"{part.key}: '{file.path}' has {len(file.images)} images, but no segment of the classes; annotate some, "
            'or correct ann_file.',
        )
    if not part.for_testing and not file.annotations:
        yield Fault(Severity.BLOCKS, f"{part.key}: '{file.path}' has no annotations; give the file that has.")
    if part.before_training:
        return
    counts = ', '.join(f'{name} {segments[name]}' for name in names[:100])
    annotated = sum(bool(a['segments_info']) for a in file.annotations)
    yield Fault(
        Severity.NOTE,
        f'{part.key}: {annotated or len(file.images)} images; segments of each class: {counts}'
        f'{", ..." if len(names) > 100 else ""}.',
    )
    yield from _left_out(part, file, labels)


def used_in_training(file: PanopticFile, labels: dict[int, int], things: int, settings: ConfigDict) -> list[dict]:
    """The images that mmdet's filter keeps: with a thing, if it is so set, and not too small."""
    smallest = settings.get('min_size', 0)
    with_things = {
        a['image_id']
        for a in file.annotations
        if any(labels.get(s['category_id'], things) < things and not s['iscrowd'] for s in a['segments_info'])
    }
    annotated = {a['image_id'] for a in file.annotations if a['segments_info']}
    return [
        image
        for image in file.images
        if image['id'] in (with_things if settings.get('filter_empty_gt') else annotated)
        and min(image.get('width', smallest), image.get('height', smallest)) >= smallest
    ]


def _left_out(part: DataPart, file: PanopticFile, labels: dict[int, int]) -> Iterator[Fault]:
    settings = part.dataset.get('filter_cfg')
    if part.for_testing or not settings:
        return
    things, _ = things_and_stuff(part.dataset, part.dataset_class)
    annotated = len(used_in_training(file, labels, len(things), ConfigDict()))
    kept = len(used_in_training(file, labels, len(things), settings))
    if kept < annotated:
        yield Fault(
            Severity.FAULT if kept < annotated / 2 else Severity.NOTE,
            f"{part.key}: {annotated - kept} of the {annotated} annotated images in '{file.path}' are left out by "
            f'filter_cfg: they have no thing, or a side under min_size = {settings.get("min_size", 0)} pixels; set '
            'filter_cfg=None in the data set to use all.',
        )


class _Map(NamedTuple):
    """A segment map to open: its file, that of its image with its size if known, and its segments."""

    path: Path
    image: Path
    size: tuple[int, int] | None
    segments: list[dict]


class _Opened(NamedTuple):
    """What opening a segment map shows.

    Attributes:
        fault: What is wrong with it; empty if nothing.
        absent: Segments without a pixel.
        differing: Those whose area or box is not the one of the pixels.
        elsewhere: Those whose box overlaps the pixels' by less than a half.
    """

    fault: str = ''
    absent: Sequence[str] = ()
    differing: Sequence[str] = ()
    elsewhere: Sequence[str] = ()


def _faults_of_maps(part: DataPart, file: PanopticFile, images: Path) -> Iterator[Fault]:
    folder = part.dataset.get('data_prefix', {}).get('seg')
    root = Path(part.dataset.get('data_root') or '.')
    if not folder or not (root / folder).is_dir():
        where = f"'{root / folder}' does not exist" if folder else 'is not named'
        yield Fault(
            Severity.BLOCKS,
            f'{part.key}: the folder of the segment maps {where}; set it at the top of the config, such as '
            f"{part.loader_key.partition('_')[0]}_data_prefix = dict(img='train/', seg='annotations/panoptic_train/').",
        )
        return
    annotated = [a for a in file.annotations if a['segments_info']]
    missing = missing_files(root / folder, [a['file_name'] for a in annotated])
    if missing:
        yield Fault(
            Severity.BLOCKS,
            f"{part.key}: {examples(missing)} of the segment maps named in '{file.path}' are not in '{root / folder}'; "
            'put them there, or correct data_prefix.seg or file_name.',
        )
    there = [a for a in annotated if a['file_name'] not in {*missing}]
    chosen = sample(there, MAX_BEFORE_TRAINING if part.before_training else part.count)
    by_id = {image['id']: image for image in file.images}
    opened = open_in_parallel(
        partial(_open, part.dataset.get('exif_orientation') == 'stored'),
        [_map_of(annotation, by_id[annotation['image_id']], root / folder, images) for annotation in chosen],
        CHUNK_SIZE,
        None if part.before_training else 'Opening segment maps',
    )
    yield from first_faults(part, [found.fault for found in opened if found.fault], 'segment maps are faulty')
    yield from _faults_of_measures(part, file, opened, sum(len(a['segments_info']) for a in chosen))


def _map_of(annotation: dict, image: dict, folder: Path, images: Path) -> _Map:
    size = (image['height'], image['width']) if 'width' in image else None
    return _Map(folder / annotation['file_name'], images / image['file_name'], size, annotation['segments_info'])


def _open(as_stored: bool, given: _Map) -> _Opened:
    try:
        ids = read_segment_map(given.path)
        size = given.size or image_size(given.image, as_stored)[::-1]
        check_segments(given.path, ids, {segment['id'] for segment in given.segments}, size)
    except UserError as error:
        return _Opened(str(error))
    absent, differing, elsewhere = [], [], []
    for segment in given.segments:
        name = f"segment {segment['id']} of '{given.path.name}'"
        rows, columns = np.nonzero(ids == segment['id'])
        if not len(rows):
            absent.append(name)
            continue
        box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        overlap = _overlap(segment['bbox'], box) if 'bbox' in segment else 1.0
        if overlap < 0.5:
            elsewhere.append(name)
        if overlap < 0.9 or 'bbox' not in segment or abs(segment.get('area', 0) - len(rows)) > 0.01 * len(rows) + 1:
            differing.append(name)
    return _Opened('', absent, differing, elsewhere)


def _faults_of_measures(part: DataPart, file: PanopticFile, opened: list[_Opened], count: int) -> Iterator[Fault]:
    absent, differing, elsewhere = (
        [name for found in opened for name in getattr(found, kind)] for kind in ('absent', 'differing', 'elsewhere')
    )
    if len(elsewhere) > max(1, MAX_ELSEWHERE_SHARE * count):
        yield Fault(
            Severity.BLOCKS,
            f"{part.key}: the boxes of {examples(elsewhere)} of the segments in '{file.path}' lie elsewhere than their "
            'pixels in the segment maps, so the maps seem to belong to other images; correct file_name or '
            'data_prefix.seg, or compute the boxes anew.',
        )
    elif differing:
        yield Fault(
            Severity.NOTE,
            f"{part.key}: {examples(differing)} of the segments in '{file.path}' have no area and bbox, or others than "
            'their pixels in the segment map; those of the pixels are used.',
        )
    if absent:
        yield Fault(
            Severity.NOTE,
            f"{part.key}: {examples(absent)} of the segments in '{file.path}' have no pixel in their segment map; they "
            'are left out.',
        )


def _overlap(box: Sequence[float], around: Sequence[float]) -> float:
    """IoU of a box x, y, width, height with one given by its corners."""
    x, y, w, h = box
    width = min(x + w, around[2]) - max(x, around[0])
    height = min(y + h, around[3]) - max(y, around[1])
    shared = max(width, 0) * max(height, 0)
    return float(shared / (w * h + (around[2] - around[0]) * (around[3] - around[1]) - shared or 1))
