"""The objects of an annotation file: boxes, masks, areas and crowds, sorted by what is wrong with them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence

from hiera_mm.readers.coco_run_lengths import to_rle
from hiera_mm.readers.coco_values import number_of

from pycocotools import mask as run_lengths

MAX_COORDINATE = 1e7
"""Pixels; a larger coordinate must be a mistake."""

SHIFTED = 'of the annotations have a box that does not match their mask'

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
"""Faults that only the owner of the file can correct."""

REPAIRED = dict(
    box_of_mask='of the annotations have no bbox; it is the one around their mask.',
    area='of the annotations have no area, one that is not above 0, or one larger than their box; it is computed from '
    'the mask, or else from the box.',
    no_crowd='of the annotations lack iscrowd; it is taken to be 0.',
    ignored='of the annotations are marked by ignore; they are treated like crowds: not trained and not scored.',
    flat='of the annotations have polygons in another nesting; they are read as lists of x, y, x, y, ...',
    few_points='of the annotations have polygons of fewer than three points beside others; these are left out.',
    empty='of the annotations have boxes without width or height, or outside of their image; they are left out.',
    leaving='of the annotations have boxes that leave their image; they are cut at its edges.',
)
"""Faults that are repaired because there is no doubt what is meant."""


Box = tuple[float, float, float, float]

OTHER_FORMS: dict[str, Callable[[Box], Box]] = {
    'x1, y1, x2, y2': lambda box: box,
    'y1, x1, y2, x2': lambda box: (box[1], box[0], box[3], box[2]),
    'y, x, height, width': lambda box: (box[1], box[0], box[1] + box[3], box[0] + box[2]),
    'x and y of the centre, width, height': lambda box: (
        *(box[0] - box[2] / 2, box[1] - box[3] / 2),
        *(box[0] + box[2] / 2, box[1] + box[3] / 2),
    ),
}
"""Other meanings of a box's four numbers than COCO's, as functions to the corners x1, y1, x2, y2."""


class ObjectChecker:
    """Sorts annotations by their faults, in one pass, since files have up to a million.

    Attributes:
        items: Annotations by fault.
        left_out: Objects to leave out, by ``id()``.
        boxes, within_one, with_both: Counts of boxes, of those between 0 and 1, and of those with a mask.
        forms: Those of ``OTHER_FORMS`` in which every box would fit.
        fit_turned: Images of which a box leaves the size in the file, but would fit if the image were turned.
    """

    def __init__(self, annotations: list[dict], sizes: dict) -> None:
        self.annotations, self.sizes = annotations, sizes
        self.items: dict[str, list] = defaultdict(list)
        self.left_out: set[int] = set()
        self.boxes = self.within_one = self.with_both = 0
        self.forms = set(OTHER_FORMS)
        self.fit_turned: set = set()

    def run(self) -> ObjectChecker:
        for annotation in self.annotations:
            self._check_crowd(annotation)
            size = self.sizes[annotation['image_id']]
            around = self._check_mask(annotation, size)
            refused = around is None and 'segmentation' in annotation
            if self._check_box(annotation, size, around) and not refused:
                self._check_area(annotation)
        return self

    def _check_crowd(self, annotation: dict) -> None:
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
        # With this key mmdet leaves an object out of training, but pycocotools still scores it.
        annotation.pop('ignore', None)

    def _check_mask(self, annotation: dict, size: tuple) -> tuple | None:
        """The mask's bounds x1, y1, x2, y2; None without a usable mask."""
        mask = annotation.get('segmentation')
        if mask is None or mask == []:
            annotation.pop('segmentation', None)
            return None
        if isinstance(mask, dict):
            return self._check_run_lengths(annotation, mask, size)
        try:
            return self._check_polygons(annotation, mask)
        except (TypeError, ValueError, IndexError):
            self.items['polygon'].append(annotation['id'])
            return None

    def _check_polygons(self, annotation: dict, mask: list) -> tuple:
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
        return _bounds(large[0]) if len(large) == 1 else _bounds([value for polygon in large for value in polygon])

    def _check_run_lengths(self, annotation: dict, mask: dict, size: tuple) -> tuple | None:
        try:
            runs, height, width = to_rle(mask)
            if size[0] is not None and (width, height) != size:
                raise ValueError
            x, y, w, h = map(float, run_lengths.toBbox(runs))
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            self.items['runs'].append(annotation['id'])
            return None
        return x, y, x + w, y + h

    def _check_box(self, annotation: dict, size: tuple, around: tuple | None) -> bool:
        """Whether the annotation keeps a box."""
        box = annotation.get('bbox')
        if box is None or box == []:
            return self._box_from_mask(annotation, around, size)
        try:
            x, y, w, h = box
            if not abs(x + y + w + h) < MAX_COORDINATE or isinstance(box, dict):
                raise ValueError
        except (TypeError, ValueError):
            self.items['box'].append(annotation['id'])
            return False
        if w < 0 or h < 0:
            self.items['negative'].append(annotation['id'])
            return False
        self._count_forms(x, y, w, h, size)
        kept = self._clip_box(annotation, (x, y, w, h), size)
        if kept and around and not annotation['iscrowd']:
            self.with_both += 1
            x1, y1, x2, y2 = around
            # Fast path: most boxes match their masks to the pixel.
            close = abs(x - x1) + abs(y - y1) + abs(x + w - x2) + abs(y + h - y2) < 1
            if not close and _overlap((x, y, x + w, y + h), around) < 0.5:
                self.items['shifted'].append(annotation['id'])
        return kept

    def _box_from_mask(self, annotation: dict, around: tuple | None, size: tuple) -> bool:
        if around is None:
            # A refused mask has been reported already.
            if 'segmentation' not in annotation:
                self.items['nothing'].append(annotation['id'])
            return False
        x1, y1, x2, y2 = around
        annotation['bbox'] = [x1, y1, x2 - x1, y2 - y1]
        self.items['box_of_mask'].append(annotation['id'])
        return self._clip_box(annotation, (x1, y1, x2 - x1, y2 - y1), size)

    def _count_forms(self, x: float, y: float, w: float, h: float, size: tuple) -> None:
        self.boxes += 1
        self.within_one += x + w <= 1.001 and y + h <= 1.001
        width, height = size if size[0] is not None else (math.inf, math.inf)
        # Most sets leave no form after a few boxes.
        for form in [*self.forms]:
            x1, y1, x2, y2 = OTHER_FORMS[form]((x, y, w, h))
            if not (-1 <= x1 < x2 <= width + 1 and -1 <= y1 < y2 <= height + 1):
                self.forms.remove(form)

    def _clip_box(self, annotation: dict, box: tuple, size: tuple) -> bool:
        x, y, w, h = box
        width, height = size
        if width is None:
            width = height = math.inf
        within, turned = (max(x + w - sides[0], y + h - sides[1]) <= 1 for sides in ((width, height), (height, width)))
        if turned and not within and min(x, y) >= -1:
            self.fit_turned.add(annotation['image_id'])
        if w == 0 or h == 0 or x >= width or y >= height or x + w <= 0 or y + h <= 0:
            self.items['empty'].append(annotation['id'])
            self.left_out.add(id(annotation))
            return False
        # One pixel of tolerance, since real data sets round.
        if x < -1 or y < -1 or x + w > width + 1 or y + h > height + 1:
            self.items['leaving'].append(annotation['id'])
            left, top = max(x, 0), max(y, 0)
            annotation['bbox'] = [left, top, min(x + w, width) - left, min(y + h, height) - top]
        return True

    def _check_area(self, annotation: dict) -> None:
        area, (_, _, w, h) = annotation.get('area'), annotation['bbox']
        if isinstance(area, int | float) and not isinstance(area, bool) and 0 < area <= 1.05 * w * h + 4:
            return
        self.items['area'].append(annotation['id'])
        annotation['area'] = mask_area(annotation) or float(w * h)


def _bounds(points: list[float]) -> tuple[float, float, float, float]:
    """The bounds x1, y1, x2, y2 of points ``x, y, x, y, ...``.

    Raises:
        ValueError, TypeError: if they are not numbers, not finite or too large.
    """
    xs, ys = points[0::2], points[1::2]
    corners = min(xs), min(ys), max(xs), max(ys)
    # Summing is fast, and the sum is finite only if all numbers are.
    if not abs(sum(points)) < math.inf or max(corners[2:]) > MAX_COORDINATE:
        raise ValueError
    return corners


def _flat_polygons(mask: list) -> list[list[float]]:
    """Convert one flat list, or lists of points, to a list of polygons ``x, y, x, y, ...``.

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


def mask_area(annotation: dict) -> float:
    mask = annotation.get('segmentation')
    if isinstance(mask, dict):
        return float(run_lengths.area(to_rle(mask)[0]))
    return sum(polygon_area(polygon) for polygon in mask or ())


def polygon_area(polygon: Sequence[float]) -> float:
    xs, ys = polygon[0::2], polygon[1::2]
    after = zip([*xs[1:], xs[0]], [*ys[1:], ys[0]], strict=True)
    return abs(sum(x * y2 - x2 * y for x, y, (x2, y2) in zip(xs, ys, after, strict=True))) / 2


def _overlap(first: tuple, second: tuple) -> float:
    """IoU of two boxes given by their corners; lines and points count as one pixel wide."""
    width = min(first[2], second[2]) - max(first[0], second[0]) + 1
    height = min(first[3], second[3]) - max(first[1], second[1]) + 1
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (first, second)]
    return width * height / (sum(areas) - width * height)
