"""Writes annotation files in COCO's format, one object after the other, so that memory does not grow with the set."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TextIO


class FoundObject(NamedTuple):
    """An annotated object.

    Attributes:
        name: Its class.
        box: x, y of the upper left corner, width, height, in pixels.
        polygons: Lists ``x, y, x, y, ...`` in pixels; empty for an object with a box alone.
        ignored: Whether it is neither trained nor scored, as Pascal VOC's difficult objects.
    """

    name: str
    box: tuple[float, float, float, float]
    polygons: list[list[float]]
    ignored: bool = False


def around(name: str, polygons: list[list[float]]) -> FoundObject:
    """An object with the box around its polygons."""
    xs = [x for polygon in polygons for x in polygon[0::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    return FoundObject(name, (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)), polygons)


class CocoWriter:
    """Writes one annotation file.

    Args:
        file: An open text file.
        numbers: The number of each class; classes that are not in it get the next ones, and all files that share it
            share the numbers.

    Attributes:
        images: What is known of each image that was added.
        objects, with_polygons: Counts of objects that are not ignored.
    """

    def __init__(self, file: TextIO, numbers: dict[str, int]) -> None:
        self.file, self.numbers = file, numbers
        self.images: list[dict] = []
        self.annotations = self.objects = self.with_polygons = 0
        file.write('{"annotations": [')

    def add(self, image: Path, size: tuple[int, int], objects: list[FoundObject]) -> None:
        """Add an image and its objects."""
        self.images.append(dict(id=len(self.images) + 1, file_name=image, width=size[0], height=size[1]))
        for found in objects:
            self.annotations += 1
            entry: dict = dict(
                id=self.annotations,
                image_id=len(self.images),
                category_id=self.numbers.setdefault(found.name, len(self.numbers) + 1),
                bbox=[round(side, 4) for side in found.box],
                area=round(found.box[2] * found.box[3], 4),
                iscrowd=int(found.ignored),
            )
            if found.polygons:
                entry['segmentation'] = [[round(value, 4) for value in polygon] for polygon in found.polygons]
                entry['area'] = round(sum(map(_area, found.polygons)), 4)
            self.objects += not found.ignored
            self.with_polygons += bool(found.polygons) and not found.ignored
            self.file.write(f'{"," if self.annotations > 1 else ""}\n{json.dumps(entry)}')

    def finish(self) -> Path:
        """Write the images and all classes.

        Returns:
            The folder that the images' names are relative to.
        """
        folder = Path(os.path.commonpath([image['file_name'].parent.absolute() for image in self.images]))
        named = [
            image | dict(file_name=image['file_name'].absolute().relative_to(folder).as_posix())
            for image in self.images
        ]
        self.file.write(
            f'],\n"images": {json.dumps(named)},\n"categories": {json.dumps(_categories(self.numbers))}}}\n'
        )
        return folder


def _categories(numbers: Mapping[str, int]) -> list[dict]:
    return [dict(id=number, name=name) for name, number in sorted(numbers.items(), key=lambda entry: entry[1])]


def _area(polygon: list[float]) -> float:
    xs, ys = polygon[0::2], polygon[1::2]
    return abs(sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))) / 2
