"""Reads a label file of YOLO's format: boxes, polygons and oriented boxes, one a line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets.coco_writer import FoundObject, around
from hiera_mm.readers.found_sets.folder import Folder
from hiera_mm.readers.text import read_text

MAX_SHARE = 2.0
"""Largest share of the image's side that a coordinate can be; beyond it, coordinates must be pixels."""

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
    objects: dict[tuple, FoundObject] = {}
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
        objects[tuple(values)] = _object(name, shares, size)
    return list(objects.values())


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
    elif not keypoints and _look_like_keypoints(values):
        raise UserError(
            f'{where} looks like a box with {len(values) // 3 - 1} keypoints and not like a polygon, as every third '
            'number is a visibility (0, 1 or 2) and the points lie in the box; say so in data.yaml, such as kpt_shape: '
            f'[{len(values) // 3 - 1}, 3].'
        )
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


def _look_like_keypoints(values: list[float]) -> bool:
    """Whether a row is a box and points with their visibility, rather than a polygon."""
    if len(values) < 10:
        return False
    x, y, width, height, *rest = values
    if len(rest) % 3:
        return False
    points = [rest[start : start + 3] for start in range(0, len(rest), 3)]
    return all(
        seen in (0, 1, 2) and (not seen or (abs(px - x) <= width / 2 + 0.01 and abs(py - y) <= height / 2 + 0.01))
        for px, py, seen in points
    )


def _object(name: str, shares: list[float], size: tuple[int, int]) -> FoundObject:
    pixels = [share * size[i % 2] for i, share in enumerate(shares)]
    if len(pixels) > 4:
        return around(name, [pixels])
    x, y, width, height = pixels
    return FoundObject(name, (x - width / 2, y - height / 2, width, height), [])


def _ranges(numbers: list[int]) -> str:
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f'{numbers[0]} to {numbers[-1]}'
    return ', '.join(map(str, numbers))
