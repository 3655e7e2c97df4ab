"""Converts labelled images of any layout to annotation files in COCO's format."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, Protocol

from hiera_mm.errors import UserError, examples, first_few
from hiera_mm.readers.found_sets.coco_writer import CocoWriter, FoundObject
from hiera_mm.readers.found_sets.folder import USES, Folder
from hiera_mm.readers.found_sets.found import FoundPart, with_validation
from hiera_mm.readers.images import ImageHeader, read_image_header

from rich.progress import track

CUT = 'of the label files have objects that leave their image; they are cut at its edges.'
EMPTY = 'of the label files have objects without width or height, or outside of their image; these are left out.'


class Labels(NamedTuple):
    """The objects of an image as its label file has them, which may leave the image, and the image's size as the file
    says it, if it does."""

    objects: list[FoundObject]
    size: tuple[int, int] | None = None


class Layout(Protocol):
    """A way to keep labels in files.

    Attributes:
        classes: Names of the classes in the order of their numbers; empty if only the labels name them.
        parts: The images of each part, with their label files; under None where nothing tells the parts.
    """

    classes: list[str]
    parts: dict[str | None, dict[Path, Path | None]]

    def read(self, label: Path, image: Path, header: ImageHeader) -> Labels:
        """Read a label file.

        Raises:
            UserError: for a file that is not in this layout.
        """


def convert(layout: Layout, folder: Folder, out: Path) -> tuple[dict[str, FoundPart], list[str]]:
    """Write an annotation file for each part, after putting a validation part apart where there is none.

    Args:
        layout: The labelled images.
        folder: The user's folder, which is told what becomes of its files.
        out: An existing folder for the annotation files.

    Returns:
        The parts, and the names of the classes: in the layout's order, or alphabetical.

    Raises:
        UserError: for images or label files that can't be used.
    """
    parts = with_validation({part: list(images) for part, images in layout.parts.items()}, folder)
    labels = {image: label for images in layout.parts.values() for image, label in images.items()}
    numbers = {name: number for number, name in enumerate(layout.classes, start=1)}
    turned: list[Path] = []
    with ExitStack() as stack:
        writers = {}
        for part, images in parts.items():
            file = stack.enter_context((out / f'{part}.json').open('w', encoding='utf-8'))
            writers[part] = CocoWriter(file, numbers)
            for image in track(images, f'{USES[part]} images', disable=not sys.stdout.isatty()):
                label = labels[image]
                _convert_one(writers[part], layout, image, label, turned, folder)
                folder.use(image, part)
                if label is not None:
                    folder.use(label, part)
        _refuse_turned(turned)
        names = layout.classes or distinct(sorted(numbers))
        if not names:
            raise UserError(f"No label file in '{folder.root}' has an object; annotate the images first.")
        found = {part: _found(writer, out / f'{part}.json') for part, writer in writers.items()}
    return found, names


def _convert_one(
    writer: CocoWriter, layout: Layout, image: Path, label: Path | None, turned: list[Path], folder: Folder
) -> None:
    header = read_image_header(image)
    found = layout.read(label, image, header) if label is not None else Labels([])
    size = _annotated_size(header, found.size, image, label)
    if size is None:
        turned.append(image)
    size = size or header.displayed
    cut = [_cut(each, size) for each in found.objects]
    if label is not None and None in cut:
        folder.note(EMPTY, label.name)
    if label is not None and any(_leaves(each, size) for each, left in zip(found.objects, cut, strict=True) if left):
        folder.note(CUT, label.name)
    writer.add(image, size, [each for each in cut if each is not None])


def _cut(found: FoundObject, size: tuple[int, int]) -> FoundObject | None:
    """The object within its image; None if nothing is left of it."""
    x, y, width, height = found.box
    left, right = (min(max(side, 0), size[0]) for side in (x, x + width))
    top, bottom = (min(max(side, 0), size[1]) for side in (y, y + height))
    if right <= left or bottom <= top:
        return None
    polygons = [[min(max(value, 0), size[i % 2]) for i, value in enumerate(polygon)] for polygon in found.polygons]
    return found._replace(box=(left, top, right - left, bottom - top), polygons=polygons)


def _leaves(found: FoundObject, size: tuple[int, int]) -> bool:
    """Whether an object leaves its image by more than a pixel, as rounding and counting from 0 or 1 make it."""
    x, y, width, height = found.box
    return min(x, y) < -1 or x + width > size[0] + 1 or y + height > size[1] + 1


def _annotated_size(
    header: ImageHeader, said: tuple[int, int] | None, image: Path, label: Path | None
) -> tuple[int, int] | None:
    """The size that the labels refer to, as stored or as displayed; None if nothing tells which."""
    stored = (header.width, header.height)
    if said is not None and said not in (stored, header.displayed):
        raise UserError(
            f"The label file '{label}' says {said[0]} x {said[1]} pixels, but the image '{image}' has {stored[0]} x "
            f'{stored[1]}; use the image that was annotated, or correct the size (and check that the boxes fit).'
        )
    if header.orientation == 1:
        return stored
    return said if said is not None and stored != header.displayed else None


def _refuse_turned(turned: list[Path]) -> None:
    if turned:
        raise UserError(
            f'{len(turned)} images, such as {first_few([path.name for path in turned])}, are rotated by their EXIF '
            "data, and these files don't say whether the boxes refer to the rotated image; rotate the pixels (mogrify "
            '-auto-orient) if the images were annotated as displayed, or remove the EXIF data (exiftool -Orientation= '
            '-n) if not.'
        )


def distinct(names: list[str]) -> list[str]:
    """The names, unless some differ in capitals alone.

    Raises:
        UserError: if some do.
    """
    seen: dict[str, list[str]] = {}
    for name in names:
        seen.setdefault(name.casefold(), []).append(name)
    alike = [' and '.join(map(repr, spellings)) for spellings in seen.values() if len(spellings) > 1]
    if alike:
        raise UserError(
            f'Of the classes, {examples(alike)} differ in capitals only; write each class in one way in all label '
            'files.'
        )
    return names


def _found(writer: CocoWriter, ann_file: Path) -> FoundPart:
    folder = writer.finish()
    images = [str(image['file_name']) for image in writer.images]
    sides = [max(image['width'], image['height']) for image in writer.images]
    return FoundPart(ann_file, folder, images, sides, writer.objects, 0 < writer.objects == writer.with_polygons)
