"""Finds objects with boxes or masks, in the layout of COCO, YOLO, Pascal VOC or LabelMe."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable
from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets.coco import find_coco_parts
from hiera_mm.readers.found_sets.conversion import Layout, convert
from hiera_mm.readers.found_sets.folder import Folder
from hiera_mm.readers.found_sets.found import FoundPart, FoundSets, account_of, shared_inputs
from hiera_mm.readers.found_sets.labelme import LabelMeLayout
from hiera_mm.readers.found_sets.voc import VocLayout
from hiera_mm.readers.found_sets.yolo import CLASS_FILES, YoloLayout, describes_yolo

CONVERTED: dict[str, Callable[[Folder], Layout]] = dict(yolo=YoloLayout, voc=VocLayout, labelme=LabelMeLayout)

ORIENTED = (
    'All polygons have four corners, as oriented boxes do; the upright boxes around them are trained, without masks '
    '(--polygons trains the polygons as masks).'
)

YOLO_LINE = re.compile(rb'\s*\d+([ \t]+[-+.\deE]+){4,}')

SEGMENTS = b'"segments_info"'

FEW, BYTES = 20, 4096
"""How many files, and how much of each, are looked at to tell the layout."""


def find_objects(folder: Folder, out: Path, layout: str, shape: str | None = None) -> FoundSets:
    """Find annotated objects; what has to be written goes to ``out``.

    Raises:
        UserError: for files that can't be read, or whose part can't be told.
    """
    if folder.given.is_file() and layout in ('voc', 'labelme'):
        raise UserError(
            f"'{folder.given}' is a file; name the folder of the set, since each image has a file of its own."
        )
    found: Layout | None = None
    if layout == 'coco':
        parts, classes = find_coco_parts(folder, out)
    else:
        found = CONVERTED[layout](folder)
        parts, classes = convert(found, folder, out)
    if not any(part.objects for part in parts.values()):
        raise UserError(f"No image in '{folder.given}' has an object; annotate the images first.")
    masks, notes = _with_masks(parts, shape, folder.given), folder.notes
    if masks and shape is None and isinstance(found, YoloLayout) and found.oriented:
        masks = False
        notes.append(ORIENTED)
    return FoundSets(
        'objects with masks' if masks else 'objects',
        folder.root,
        parts,
        tuple(classes),
        account=account_of(parts, folder),
        notes=notes + shared_inputs(parts),
    )


def _with_masks(parts: dict[str, FoundPart], shape: str | None, path: Path) -> bool:
    masks = all(part.masks for part in parts.values() if part.objects)
    if shape == 'polygons' and not masks:
        raise UserError(f"Not all objects in '{path}' have polygons; leave out --polygons to train boxes.")
    return masks and shape != 'boxes'


def is_coco(folder: Folder) -> bool:
    """Whether there are annotation files in COCO's format, other than panoptic ones."""
    listing = [path for path in folder.with_ending('.json') if _contains(path, b'"images"')]
    return any(not _contains(path, SEGMENTS) for path in listing)


def has_segment_maps(folder: Folder) -> bool:
    """Whether there are panoptic annotations, whose segment maps look like masks of classes."""
    return any(_contains(path, SEGMENTS) for path in folder.with_ending('.json'))


def is_panoptic(folder: Folder) -> bool:
    """Whether there are panoptic annotations and no others of the same images, which say more of things."""
    return has_segment_maps(folder) and not is_coco(folder)


def is_yolo(folder: Folder) -> bool:
    """Whether a file describes a set in YOLO's layout."""
    return any(
        describes_yolo(path) and (path.name.lower() not in CLASS_FILES or _has_yolo_labels(folder))
        for path in folder.files
    )


def _has_yolo_labels(folder: Folder) -> bool:
    """Whether a file begins with a class and the numbers of a box; a list of names alone may be for masks."""
    return any(YOLO_LINE.match(_ends(path)) for path in folder.with_ending('.txt'))


def is_voc(folder: Folder) -> bool:
    """Whether there are label files in Pascal VOC's format."""
    return any(re.search(rb'<annotation[\s>]', _ends(path)) for path in folder.with_ending('.xml')[:FEW])


def is_labelme(folder: Folder) -> bool:
    """Whether there are label files in LabelMe's format."""
    return any(b'"shapes"' in (ends := _ends(path)) and b'"image' in ends for path in folder.with_ending('.json')[:FEW])


def _contains(path: Path, word: bytes) -> bool:
    with path.open('rb') as file:
        if not os.fstat(file.fileno()).st_size:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(word) >= 0


def _ends(path: Path) -> bytes:
    """The beginning and the end of a file."""
    with path.open('rb') as file:
        start = file.read(BYTES)
        file.seek(max(file.seek(0, 2) - BYTES, 0))
        return start + file.read(BYTES)
