"""The objects of an annotation file: boxes, masks, areas and crowds, sorted by what is wrong with them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from hiera_mm.readers.coco_run_lengths import compressed
from hiera_mm.readers.coco_values import number_of

from pycocotools import mask as run_lengths

LARGEST_COORDINATE = 1e7
"""Pixels; beyond it lies nothing but slips."""

SHIFTED = 'of the annotations have a box that does not lie around their mask'

REFUSED = dict(
    box='of the annotations have a bbox that is not four finite numbers; correct it, or remove them.',
    negative='of the annotations have a bbox of negative width or height; COCO has x, y, width, height: correct it.',
    nothing='of the annotations have neither a bbox nor a mask; add one, or remove them.',
    polygon='of the annotations have a segmentation that is neither polygons of at least three points nor run '
    'lengths; correct it, or remove the key where there is only a box.',
    runs='of the annotations have run lengths that do not fit their image (size is height, width; counts must add up '
    'to their product); correct them.',
    crowd='of the annotations have an iscrowd other than 0 and 1; correct it.',
)
"""What can't be derived: nobody but the owner of the file knows what is meant."""

REPAIRED = dict(
    box_of_mask='of the annotations have no bbox; it is the one around their mask.',
    area='of the annotations have no area, none over 0, or one larger than their box; it is computed from the mask, or '
    'else from the box.',
    no_crowd='of the annotations lack iscrowd; it is taken to be 0.',
    ignored='of the annotations are marked by ignore; they are treated like crowds, and neither trained nor scored.',
    flat='of the annotations have polygons in another nesting; they are read as lists of x, y, x, y, ...',
    few_points='of the annotations have polygons of fewer than three points beside others; these are left out.',
    empty='of the annotations have boxes without width or height, or outside of their image; they are left out.',
    leaving='of the annotations have boxes that leave their image; they are cut at its edges.',
)
"""What is derived or left out without doubt."""


class Objects:
    """One pass over the annotations, for files of nearly a million."""

    def __init__(self, annotations: list[dict], sizes: dict) -> None:
        self.annotations, self.sizes = annotations, sizes
        self.items: dict[str, list] = defaultdict(list)
        self.left_out: set[int] = set()
        self.boxes = self.within_one = self.as_corners = self.with_both = 0

    def sort_out(self) -> Objects:
        for annotation in self.annotations:
            self._crowd(annotation)
            size = self.sizes[annotation['image_id']]
            around = self._mask(annotation, size)
            refused = around is None and 'segmentation' in annotation
            if self._box(annotation, size, around) and not refused:
                self._area(annotation)
        return self

    def _crowd(self, annotation: dict) -> None:
        crowd = annotation.get('iscrowd')
        if crowd is None:
            self.items['no_crowd'].append(annotation['id'])
            annotation['iscrowd'] = 0
        elif crowd not in (0, 1) or type(crowd) is not int:
            number = number_of(crowd) if not isinstance(crowd, bool) else int(crowd)
            if number not in (0, 1):
                self.items['crowd'].append(annotation['id'])
            annotation['iscrowd'] = number
        if annotation.get('ignore') not in (None, 0, '0', False):
            self.items['ignored'].append(annotation['id'])
            annotation['iscrowd'] = 1
        # mmdet leaves an object out of training for this key, and pycocotools scores it all the same.
        annotation.pop('ignore', None)

    def _mask(self, annotation: dict, size: tuple) -> tuple | None:
        """The corners around the mask, and its area where run lengths tell it."""
        mask = annotation.get('segmentation')
        if mask is None or mask == []:
            annotation.pop('segmentation', None)
            return None
        if isinstance(mask, dict):
            return self._runs(annotation, mask, size)
        try:
            return self._polygons(annotation, mask)
        except (TypeError, ValueError, IndexError):
            self.items['polygon'].append(annotation['id'])
            return None

    def _polygons(self, annotation: dict, mask: list) -> tuple:
        if not isinstance(mask, list):
            raise TypeError
        if not all(type(polygon) is list and len(polygon) > 3 and type(polygon[0]) is not list for polygon in mask):
            mask = _flat_polygons(mask)
            self.items['flat'].append(annotation['id'])
        large = mask
        if any(len(polygon) < 6 or len(polygon) % 2 for polygon in mask):
            large = [polygon for polygon in mask if len(polygon) >= 6]
            if not large or any(len(polygon) % 2 for polygon in mask):
                raise ValueError
            self.items['few_points'].append(annotation['id'])
        annotation['segmentation'] = large
        return _around(large[0]) if len(large) == 1 else _around([value for polygon in large for value in polygon])

    def _runs(self, annotation: dict, mask: dict, size: tuple) -> tuple | None:
        try:
            runs, height, width = compressed(mask)
            if size[0] is not None and (width, height) != size:
                raise ValueError
            x, y, w, h = map(float, run_lengths.toBbox(runs))
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            self.items['runs'].append(annotation['id'])
            return None
        return x, y, x + w, y + h

    def _box(self, annotation: dict, size: tuple, around: tuple | None) -> bool:
        """Whether a box is left."""
        box = annotation.get('bbox')
        if box is None or box == []:
            return self._box_of_mask(annotation, around, size)
        try:
            x, y, w, h = box
            if not abs(x + y + w + h) < LARGEST_COORDINATE or isinstance(box, dict):
                raise ValueError
        except (TypeError, ValueError):
            self.items['box'].append(annotation['id'])
            return False
        if w < 0 or h < 0:
            self.items['negative'].append(annotation['id'])
            return False
        self._count_forms(x, y, w, h, size)
        kept = self._inside(annotation, (x, y, w, h), size)
        if kept and around and not annotation['iscrowd']:
            self.with_both += 1
            x1, y1, x2, y2 = around
            # Most boxes are those around their masks, to the pixel.
            close = abs(x - x1) + abs(y - y1) + abs(x + w - x2) + abs(y + h - y2) < 1
            if not close and _overlap((x, y, x + w, y + h), around) < 0.5:
                self.items['shifted'].append(annotation['id'])
        return kept

    def _box_of_mask(self, annotation: dict, around: tuple | None, size: tuple) -> bool:
        if around is None:
            # A mask that is refused has been named already.
            if 'segmentation' not in annotation:
                self.items['nothing'].append(annotation['id'])
            return False
        x1, y1, x2, y2 = around
        annotation['bbox'] = [x1, y1, x2 - x1, y2 - y1]
        self.items['box_of_mask'].append(annotation['id'])
        return self._inside(annotation, (x1, y1, x2 - x1, y2 - y1), size)

    def _count_forms(self, x: float, y: float, w: float, h: float, size: tuple) -> None:
        self.boxes += 1
        self.within_one += x + w <= 1.001 and y + h <= 1.001
        width, height = size
        if w > x and h > y and (width is None or (w <= width + 1 and h <= height + 1)):
            self.as_corners += 1

    def _inside(self, annotation: dict, box: tuple, size: tuple) -> bool:
        x, y, w, h = box
        width, height = size
        if width is None:
            width = height = math.inf
        if w == 0 or h == 0 or x >= width or y >= height or x + w <= 0 or y + h <= 0:
            self.items['empty'].append(annotation['id'])
            self.left_out.add(id(annotation))
            return False
        # A pixel of tolerance, as real sets round.
        if x < -1 or y < -1 or x + w > width + 1 or y + h > height + 1:
            self.items['leaving'].append(annotation['id'])
            left, top = max(x, 0), max(y, 0)
            annotation['bbox'] = [left, top, min(x + w, width) - left, min(y + h, height) - top]
        return True

    def _area(self, annotation: dict) -> None:
        area, (_, _, w, h) = annotation.get('area'), annotation['bbox']
        if isinstance(area, int | float) and not isinstance(area, bool) and 0 < area <= 1.05 * w * h + 4:
            return
        self.items['area'].append(annotation['id'])
        annotation['area'] = area_of_mask(annotation) or float(w * h)


def _around(points: list[float]) -> tuple[float, float, float, float]:
    """The corners around ``x, y, x, y, ...``.

    Raises:
        ValueError, TypeError: for what are no numbers of a picture.
    """
    xs, ys = points[0::2], points[1::2]
    corners = min(xs), min(ys), max(xs), max(ys)
    # A sum is quick, and finite only where all numbers are.
    if not abs(sum(points)) < math.inf or max(corners[2:]) > LARGEST_COORDINATE:
        raise ValueError
    return corners


def _flat_polygons(mask: list) -> list[list[float]]:
    """Polygons that are one flat list, or lists of points, as lists of ``x, y, x, y, ...``.

    Raises:
        ValueError: for any other nesting.
    """
    if mask and all(type(value) in (int, float) for value in mask):
        return [mask]
    if all(_is_point(point) for point in mask):
        return [[value for point in mask for value in point]]
    if all(isinstance(polygon, list) and polygon and all(map(_is_point, polygon)) for polygon in mask):
        return [[value for point in polygon for value in point] for polygon in mask]
    if all(isinstance(polygon, list) and all(type(value) in (int, float) for value in polygon) for polygon in mask):
        return mask
    raise ValueError


def _is_point(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(part) in (int, float) for part in value)


def area_of_mask(annotation: dict) -> float:
    mask = annotation.get('segmentation')
    if isinstance(mask, dict):
        return float(run_lengths.area(compressed(mask)[0]))
    return sum(area_of_polygon(polygon) for polygon in mask or ())


def area_of_polygon(polygon: Sequence[float]) -> float:
    xs, ys = polygon[0::2], polygon[1::2]
    after = zip([*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=True)
    return abs(sum(x * y2 - x2 * y for x, y, (x2, y2) in zip(xs, ys, after, strict=True))) / 2


def _overlap(first: tuple, second: tuple) -> float:
    """Intersection over union of two boxes by their corners; lines and points count as a pixel wide."""
    width = min(first[2], second[2]) - max(first[0], second[0]) + 1
    height = min(first[3], second[3]) - max(first[1], second[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (first, second)]
    return width * height / (sum(areas) - width * height)
