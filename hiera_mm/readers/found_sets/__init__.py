"""Finds detection data in a folder, in the layout of COCO, YOLO, Pascal VOC or LabelMe, and accounts for every file."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

from hiera_mm.errors import UserError, examples
from hiera_mm.readers.found_sets.coco import find_coco_parts
from hiera_mm.readers.found_sets.conversion import FoundPart, Layout, convert
from hiera_mm.readers.found_sets.folder import MARK, USES, Folder
from hiera_mm.readers.found_sets.labelme import LabelMeLayout
from hiera_mm.readers.found_sets.voc import VocLayout
from hiera_mm.readers.found_sets.yolo import YoloLayout, describes_yolo

LAYOUTS: dict[str, Callable[[Folder], Layout]] = dict(yolo=YoloLayout, voc=VocLayout, labelme=LabelMeLayout)

ORIENTED = (
    'All polygons have four corners, as oriented boxes do; the upright boxes around them are trained, without masks '
    '(--polygons trains the polygons as masks).'
)


FEW, BYTES = 20, 4096
"""How many files, and how much of each, are looked at to tell the layout."""


class FoundSets(NamedTuple):
    """A detection set.

    Attributes:
        parts: Train, val and, where there is one, test.
        classes: Names of the classes.
        masks: Whether to train on masks.
        account: Lines that say what became of each file.
        notes: Sentences about what was repaired or should be looked at.
    """

    parts: dict[str, FoundPart]
    classes: tuple[str, ...]
    masks: bool
    account: list[str]
    notes: list[str]


def layout_of(path: Path) -> str:
    """The layout of the files in a folder.

    Raises:
        UserError: if it is none of ``LAYOUTS``, or several at once.
    """
    folder = Folder(path)
    found = [name for name, looks_like in SIGNS.items() if looks_like(folder)]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"'{path}' holds files in the layouts of {' and '.join(found)}; say which to read: "
            f'{" or ".join(f"--{name} {path}" for name in found)}.'
        )
    raise UserError(
        f"'{path}' holds no annotations that init can read: neither COCO's .json files, nor YOLO's data.yaml, obj.data "
        "or classes.txt, nor Pascal VOC's or LabelMe's files beside their images; export the set in one of these."
    )


def _is_coco(folder: Folder) -> bool:
    return any(_contains(path, b'"images"') for path in folder.with_ending('.json'))


def _is_yolo(folder: Folder) -> bool:
    return any(describes_yolo(path) for path in folder.files)


def _is_voc(folder: Folder) -> bool:
    return any(re.search(rb'<annotation[\s>]', _ends(path)) for path in folder.with_ending('.xml')[:FEW])


def _is_labelme(folder: Folder) -> bool:
    return any(b'"shapes"' in (ends := _ends(path)) and b'"image' in ends for path in folder.with_ending('.json')[:FEW])


SIGNS: dict[str, Callable[[Folder], bool]] = dict(coco=_is_coco, yolo=_is_yolo, voc=_is_voc, labelme=_is_labelme)


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


def find_sets(path: Path, layout: str, out: Path, shape: str | None = None) -> FoundSets:
    """Find the training, validation and test set in a folder.

    Args:
        path: The folder; or the annotation file, ``data.yaml`` or ``classes.txt`` in it that describes the set.
        layout: ``'coco'``, ``'yolo'``, ``'voc'`` or ``'labelme'``.
        out: The folder for annotation files that have to be written, which must not exist yet.
        shape: ``'boxes'`` or ``'polygons'``; by default polygons, if all objects have them.

    Raises:
        UserError: for files that can't be read, or whose part can't be told; nothing is written then.
    """
    folder = Folder(path)
    if path.is_file() and layout in ('voc', 'labelme'):
        raise UserError(f"'{path}' is a file; name the folder of the set, since each image has a file of its own.")
    with _new_folder(out):
        if layout == 'coco':
            found: Layout | None = None
            parts, classes = find_coco_parts(folder, out)
        else:
            found = LAYOUTS[layout](folder)
            parts, classes = convert(found, folder, out)
        if not any(part.objects for part in parts.values()):
            raise UserError(f"No image in '{path}' has an object; annotate the images first.")
        masks = _with_masks(parts, shape, path)
    notes = folder.notes
    if masks and shape is None and isinstance(found, YoloLayout) and found.oriented:
        masks = False
        notes.append(ORIENTED)
    return FoundSets(parts, tuple(classes), masks, _account(parts, folder), notes + _shared_images(parts))


@contextmanager
def _new_folder(path: Path) -> Iterator[None]:
    """A folder that is removed if what is written to it fails, or if nothing is."""
    if path.exists():
        raise UserError(
            f"The folder '{path}' for the converted annotations already exists, and another config may use it; remove "
            'it, or name another config with --out.'
        )
    path.mkdir(parents=True)
    try:
        yield
    except BaseException:
        rmtree(path)
        raise
    if any(path.iterdir()):
        (path / MARK).touch()
    else:
        path.rmdir()


def _with_masks(parts: dict[str, FoundPart], shape: str | None, path: Path) -> bool:
    masks = all(part.masks for part in parts.values() if part.objects)
    if shape == 'polygons' and not masks:
        raise UserError(f"Not all objects in '{path}' have polygons; leave out --polygons to train boxes.")
    return masks and shape != 'boxes'


def _account(parts: dict[str, FoundPart], folder: Folder) -> list[str]:
    used = [f'{USES[name]:<10}  {_count(part)}' for name, part in parts.items()]
    return used + [f'{"left out":<10}  {line}' for line in folder.account()]


def _count(part: FoundPart) -> str:
    counts = ((len(part.images), 'image'), (part.objects, 'object'))
    return ', '.join(f'{number} {word}{"" if number == 1 else "s"}' for number, word in counts)


def _shared_images(parts: dict[str, FoundPart]) -> list[str]:
    """A sentence for each two parts that share images, since results on these say nothing about new images."""
    images = {name: set(map(os.path.realpath, part.images)) for name, part in parts.items()}
    return [
        f'{examples(sorted(shared))} of the images are in both the {USES[first]} and the {USES[second]} part.'
        for first, second in (('train', 'val'), ('train', 'test'), ('val', 'test'))
        if (shared := images.get(first, set()) & images.get(second, set()))
    ]
