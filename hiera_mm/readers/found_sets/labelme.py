"""Finds the parts of a set in LabelMe's format: a JSON file beside each image."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets.coco_writer import around
from hiera_mm.readers.found_sets.conversion import Labels
from hiera_mm.readers.found_sets.folder import Folder, parts_by_folder
from hiera_mm.readers.images import ENDINGS as IMAGE_ENDINGS
from hiera_mm.readers.images import ImageHeader

import numpy as np
from PIL import Image

CIRCLE_POINTS = 32
"""Corners of the polygon that stands for a circle."""

POLYGONS = ('polygon', 'rotation', 'oriented_rectangle')

LINES = 'of the label files have points and lines, which enclose nothing; these are left out.'


class LabelMeLayout:
    """Images and their JSON files; attributes as of :class:`~hiera_mm.readers.found_sets.conversion.Layout`."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.classes: list[str] = []
        self.images = {os.path.normpath(image): image for image in folder.images}
        matched: dict[Path, Path | None] = {}
        for label in folder.with_ending('.json'):
            content = _parsed(label)
            if not is_labelme(content):
                folder.leave_out(label, "are not in LabelMe's format")
                continue
            image = self._image_of(label, content)
            if image is None:
                folder.leave_out(label, 'have no image')
            elif image in matched:
                raise UserError(f"'{label}' and '{matched[image]}' annotate the same image '{image}'; remove one.")
            else:
                matched[image] = label
        if not matched:
            raise UserError(f"'{folder.root}' holds no JSON files of LabelMe beside their images.")
        for image in folder.images:
            if image not in matched:
                folder.leave_out(image, 'have no JSON file')
        parts = parts_by_folder(folder, list(matched))
        self.parts = {part: {image: matched[image] for image in images} for part, images in parts.items()}

    def read(self, label: Path, image: Path, header: ImageHeader) -> Labels:
        content = _parsed(label)
        groups: dict[tuple, list[list[float]]] = defaultdict(list)
        for number, shape in enumerate(content['shapes']):
            label_text = shape.get('label') if isinstance(shape, dict) else None
            name = '' if label_text is None else str(label_text).strip()
            if not name:
                raise UserError(f"Shape {number} in the label file '{label}' has no label; add it.")
            polygons = _polygons(shape, label)
            if not polygons:
                self.folder.note(LINES, label.name)
            group = shape.get('group_id')
            key = (name, 'shape', number) if group is None else (name, 'group', group)
            groups[key] += polygons
        objects = [around(name, polygons) for (name, *_), polygons in groups.items() if polygons]
        # LabelMe rotates images as EXIF says, and its sizes are those that it displays.
        return Labels(objects, _size(content) or header.displayed)

    def _image_of(self, label: Path, content: dict) -> Path | None:
        named = label.parent / str(content.get('imagePath') or '').replace('\\', '/')
        beside = [label.with_suffix(ending) for lower in IMAGE_ENDINGS for ending in (lower, lower.upper())]
        places = (os.path.normpath(place) for place in (named, label.parent / named.name, *beside))
        return next((self.images[place] for place in places if place in self.images), None)


def is_labelme(content: object) -> bool:
    """Whether the content of a JSON file is LabelMe's."""
    return isinstance(content, dict) and isinstance(content.get('shapes'), list) and 'imagePath' in content


def _parsed(path: Path) -> dict:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise UserError(f"The label file '{path}' is not valid JSON: {error}; correct or remove it.") from error


def _size(content: dict) -> tuple[int, int] | None:
    width, height = content.get('imageWidth'), content.get('imageHeight')
    return (width, height) if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0 else None


def _polygons(shape: dict, label: Path) -> list[list[float]]:
    """The polygons ``x, y, x, y, ...`` of a shape; none for points and lines."""
    kind = shape.get('shape_type') or 'polygon'
    try:
        points = [(float(x), float(y)) for x, y in shape['points']]
        if not all(math.isfinite(value) for point in points for value in point):
            raise ValueError
        if kind in POLYGONS and len(points) > 2:
            return [[value for point in points for value in point]]
        if kind == 'rectangle':
            x1, y1 = (min(sides) for sides in zip(*points, strict=True))
            x2, y2 = (max(sides) for sides in zip(*points, strict=True))
            return [[x1, y1, x2, y1, x2, y2, x1, y2]]
        if kind == 'circle':
            (x, y), edge = points
            return [_circle(x, y, math.dist((x, y), edge))]
        if kind == 'mask':
            return _mask_polygons(shape['mask'], points[0])
    except (KeyError, TypeError, ValueError, IndexError, OSError, binascii.Error) as error:
        raise UserError(
            f"The label file '{label}' has a {kind} '{shape.get('label')}' whose points can't be read; correct it."
        ) from error
    return []


def _circle(x: float, y: float, radius: float) -> list[float]:
    angles = [2 * math.pi * i / CIRCLE_POINTS for i in range(CIRCLE_POINTS)]
    return [value for a in angles for value in (x + radius * math.cos(a), y + radius * math.sin(a))]


def _mask_polygons(encoded: str, corner: Sequence[float]) -> list[list[float]]:
    """The outlines of a mask, which is a PNG in base64 whose upper left corner lies at ``corner``."""
    import cv2

    mask = np.array(Image.open(io.BytesIO(base64.b64decode(encoded)), formats=['PNG'])).astype(np.uint8)
    # OpenCV's outlines run through the middle of pixels: in an image of twice the size, they tell the pixels' edges.
    doubled = np.kron(mask, np.ones((2, 2), np.uint8))
    outlines, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [
        [float((value + 1) // 2) + corner[i % 2] for i, value in enumerate(outline.flatten())] for outline in outlines
    ]
