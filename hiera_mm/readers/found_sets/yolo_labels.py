"""Reads a label file of YOLO's format: boxes, polygons and oriented boxes, one a line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets.coco_writer import FoundObject
from hiera_mm.readers.found_sets.folder import Folder
from hiera_mm.readers.text import read_text

MAX_SHARE = 2.0
"""Largest share of the image's side that a coordinate can be; beyond it, coordinates must be pixels."""

CUT = 'of the label files have objects that leave their image; they are cut at its edges.'
EMPTY = 'of the label files have objects without width or height, or outside of their image; these are left out.'
REPEATED = 'of the label files repeat a line; the repetition is left out.'


def read_yolo_labels(
    path: Path, size: tuple[int, int], names: Mapping[int, str], keypoints: int, folder: Folder
) -> list[FoundObject]:
    """The objects of one image.

    Args:
        path: The label file: in each line the number of a class, and x and y of the centre, width and height; or the
            points of a polygon; all as shares of the image's sides.
        size: Width and height of the image, in pixels.
        names: The classes' names by their numbers.
        keypoints: How many values of keypoints follow each box; they are left out.
        folder: Where to note what was repaired.

    Raises:
        UserError: for a line that can't be read.
    """
    objects: dict[tuple, FoundObject | None] = {}
    for number, line in enumerate(read_text(path, 'label file').splitlines(), start=1):
        if not line.strip():
            continue
        values = _values(line, f"Line {number} of the label file '{path}'")
        name = names.get(int(values[0])) if values[0].is_integer() else None
        if name is None:
            raise UserError(
                f"Line {number} of the label file '{path}' names the class {values[0]:g}, but the classes have the "
                f'numbers {_ranges(sorted(names))}; correct it, or add the class to the names.'
            )
        shares = _without_keypoints(values[1:], keypoints, f"Line {number} of the label file '{path}'")
        if tuple(values) in objects:
            folder.note(REPEATED, path.name)
        objects[tuple(values)] = _object(name, shares, size, path, folder)
    return [found for found in objects.values() if found is not None]


def _values(line: str, where: str) -> list[float]:
    try:
        values = [float(text) for text in line.split()]
        if all(map(math.isfinite, values)):
            return values
    except ValueError:
        pass
    raise UserError(f"{where} is not a row of finite numbers separated by blanks: '{line.strip()[:60]}'; correct it.")


def _without_keypoints(values: list[float], keypoints: int, where: str) -> list[float]:
    if keypoints and len(values) == 4 + keypoints:
        values = values[:4]
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise UserError(
            f'{where} has {len(values)} numbers after the class, which are neither a box (4) nor the points of a '
            'polygon (6, 8, ...); remove what follows (confidences, tracks), or say kpt_shape in data.yaml for '
            'keypoints.'
        )
    if max(values) > MAX_SHARE or min(values) < 1 - MAX_SHARE:
        raise UserError(
            f'{where} has the coordinate {max(values, key=abs):g}, but coordinates are shares of the width and height, '
            '0 to 1; divide pixels by the sides of the image.'
        )
    return values


def _object(name: str, shares: list[float], size: tuple[int, int], path: Path, folder: Folder) -> FoundObject | None:
    points = _corners(shares) if len(shares) == 4 else shares
    xs = [min(max(x, 0.0), 1.0) * size[0] for x in points[0::2]]
    ys = [min(max(y, 0.0), 1.0) * size[1] for y in points[1::2]]
    x, y, width, height = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    if width <= 0 or height <= 0:
        folder.note(EMPTY, path.name)
        return None
    # Rounded shares leave the image by less than a pixel.
    if max(points) > 1 + 1 / max(size) or min(points) < -1 / max(size):
        folder.note(CUT, path.name)
    polygon = [value for point in zip(xs, ys, strict=True) for value in point]
    return FoundObject(name, (x, y, width, height), [] if len(shares) == 4 else [polygon])


def _corners(box: Sequence[float]) -> list[float]:
    """The upper left and lower right corner of a box given by its centre."""
    x, y, width, height = box
    if width < 0 or height < 0:
        return [x, y, x, y]
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def _ranges(numbers: list[int]) -> str:
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f'{numbers[0]} to {numbers[-1]}'
    return ', '.join(map(str, numbers))
