"""Annotation files in COCO's format, read with what can be derived without doubt filled in and the rest refused.

docs/detection.md has the table of what happens to each field.
"""

from __future__ import annotations

import gc
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from hiera_mm.errors import UserError, examples, first_few

from pycocotools import mask as run_lengths

PARTS = ('images', 'annotations', 'categories')
UNKNOWN = 2
"""Pixels of an unknown mask, where those of a known one are 1."""

CONFLICTING_SHARE = 0.1
"""More of the boxes that have nothing to do with their masks than this are a fault of the file."""

LARGEST_COORDINATE = 1e7
"""Pixels; beyond it lies nothing but slips."""


@dataclass(frozen=True)
class CocoFile:
    """The content of an annotation file, in the form that mmdet and pycocotools expect.

    Attributes:
        path: Of the file.
        images: Each with ``id``, ``file_name``, and ``width`` and ``height`` in pixels, or neither.
        annotations: Each with ``id``, ``image_id``, ``category_id``, ``bbox``, ``area`` and ``iscrowd``; with
            ``segmentation`` where the file has it.
        categories: Each with ``id`` and ``name``.
        repairs: What was derived or left out, a sentence each.
        doubts: What may be right, but often is not, a sentence each.
    """

    path: Path
    images: list[dict]
    annotations: list[dict]
    categories: list[dict]
    repairs: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)

    def for_masks(self, fill_masks_from_boxes: bool | None) -> CocoFile:
        """With a mask for every annotation; of a crowd without one it is the box, as crowds only hide what is inside.

        Args:
            fill_masks_from_boxes: Whether the box stands for the mask of an object that has none, or is kept as an
                :class:`UnknownMask`; by default neither.

        Raises:
            UserError: if objects lack masks and it is not said what to do, or if none has a mask to learn from.
        """
        bare = [annotation for annotation in self.annotations if 'segmentation' not in annotation]
        lacking = [annotation['id'] for annotation in bare if not annotation['iscrowd']]
        objects = sum(not annotation['iscrowd'] for annotation in self.annotations)
        if lacking and (fill_masks_from_boxes is None or len(lacking) == objects and not fill_masks_from_boxes):
            raise UserError(self._sentence_on_masks(lacking, objects))
        kind = list if fill_masks_from_boxes else UnknownMask
        annotations = [
            a if 'segmentation' in a else a | dict(segmentation=(list if a['iscrowd'] else kind)([_corners(a)]))
            for a in self.annotations
        ]
        return replace(self, annotations=annotations)

    def _sentence_on_masks(self, lacking: list, objects: int) -> str:
        if len(lacking) == objects:
            return (
                f"No object in the annotation file '{self.path}' has a mask (segmentation), which this model learns; "
                'train boxes only with a config such as faster_rcnn_hiera_b.py, or set fill_masks_from_boxes=True in '
                'the data sets to take each box for the mask.'
            )
        return (
            f"In the annotation file '{self.path}', {examples(lacking)} of the {objects} objects have a box but no "
            'mask (segmentation); add the masks, or say in the data sets what to do: fill_masks_from_boxes=True takes '
            'the box for each of them, fill_masks_from_boxes=False leaves them out of the mask loss and of mask AP.'
        )


class UnknownMask(list):
    """The box of an object in the place of polygons that nobody drew."""


def read_annotations(path: str | Path, key: str, *, without_objects: bool = False) -> CocoFile:
    """The content of an annotation file.

    Args:
        path: Of the file.
        key: What names it in the config, for messages.
        without_objects: Whether the list of annotations may be absent, as in the files of test sets.

    Raises:
        UserError: for a file that is missing, no JSON, or whose images, annotations or categories can't be used.
    """
    path = Path(path)
    content = _parsed(path, key)
    if not isinstance(content, dict):
        raise UserError(
            f"The annotation file '{path}' of {key} is not in COCO format: it holds a {type(content).__name__} instead "
            'of a dict with images, annotations and categories.'
        )
    if without_objects and content.get('annotations') is None:
        content['annotations'] = []
    absent = [part for part in PARTS if part not in content]
    if absent:
        raise UserError(f"The annotation file '{path}' of {key} is not in COCO format: it lacks {', '.join(absent)}.")
    for part in PARTS:
        if not isinstance(content[part], list):
            raise UserError(
                f"The annotation file '{path}' of {key} is not in COCO format: its {part} are a "
                f'{type(content[part]).__name__} instead of a list.'
            )
    with _collector_at_rest():
        return _Normaliser(path, key, *(content[part] for part in PARTS)).run()


def _parsed(path: Path, key: str) -> object:
    if not path.is_file():
        raise UserError(
            f"The annotation file '{path}' of {key} does not exist; put it there or set it with "
            f'--cfg-options {key}=FILE.'
        )
    try:
        with _collector_at_rest():
            # Of bytes, json finds the encoding by itself, byte-order marks included.
            return json.loads(path.read_bytes())
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        raise UserError(f"The annotation file '{path}' of {key} is not valid JSON: {reason}.") from error
    except OSError as error:
        raise UserError(f"The annotation file '{path}' of {key} can't be read: {error.strerror}.") from error


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Python looks for cycles again and again while millions of small lists are made, which takes half of the time."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


class _Normaliser:
    """Brings the three lists of a file into order, in place, and gathers what it finds, so that one sentence names all
    items with the same fault."""

    def __init__(self, path: Path, key: str, images: list, annotations: list, categories: list) -> None:
        self.path, self.key = path, key
        self.images, self.annotations, self.categories = images, annotations, categories
        self.repairs: list[str] = []
        self.doubts: list[str] = []

    def run(self) -> CocoFile:
        self._check_entries()
        self._normalise_categories()
        self._normalise_images()
        self._number_annotations()
        self._normalise_objects()
        return CocoFile(self.path, self.images, self.annotations, self.categories, self.repairs, self.doubts)

    def _refuse(self, items: Sequence[object], fault: str) -> None:
        """Raise if there are any items; ``fault`` goes on after their names."""
        if items:
            raise UserError(f"In the annotation file '{self.path}' of {self.key}, {examples(items)} {fault}")

    def _repaired(self, items: Sequence[object], repair: str) -> None:
        if items:
            self.repairs.append(f"In the annotation file '{self.path}' of {self.key}, {examples(items)} {repair}")

    def _check_entries(self) -> None:
        for part in PARTS:
            entries = getattr(self, part)
            self._refuse(
                [f'entry {number} of {part}' for number, e in enumerate(entries) if not isinstance(e, dict)],
                'of the lists are no dicts; remove them or export the file again.',
            )

    # Categories

    def _normalise_categories(self) -> None:
        if not self.categories:
            raise UserError(
                f"The annotation file '{self.path}' of {self.key} lists no categories; add them, each with id and name."
            )
        self._refuse(
            [f'category {category.get("id")}' for category in self.categories if category.get('name') in (None, '')],
            'of the categories have no name; add it.',
        )
        for category in self.categories:
            category['name'] = str(category['name'])
        names = Counter(category['name'] for category in self.categories)
        self._refuse(
            [f"'{name}'" for name, times in names.items() if times > 1],
            'of the category names occur more than once; give each category its own name, or merge those that mean the '
            'same.',
        )
        own = [category.get('id') for category in self.categories]
        numbers = self._ids('categories', own, [a.get('category_id') for a in self.annotations], 'category_id')
        _set(self.categories, 'id', numbers[0])
        _set(self.annotations, 'category_id', numbers[1])

    # Images

    def _normalise_images(self) -> None:
        own = [image.get('id') for image in self.images]
        own, references = self._ids('images', own, [a.get('image_id') for a in self.annotations], 'image_id')
        _set(self.images, 'id', own)
        _set(self.annotations, 'image_id', references)
        names = [image.get('file_name') for image in self.images]
        self._refuse(
            [f'image {image["id"]}' for image, name in zip(self.images, names, strict=True) if not _is_text(name)],
            'of the images have no file_name; add the path of each picture below the image folder.',
        )
        self._repaired(
            [f"'{name}'" for name in names if '\\' in name],
            'of the file names separate folders by backslashes; they are read as slashes.',
        )
        for image in self.images:
            image['file_name'] = image['file_name'].replace('\\', '/')
        self._check_sizes()
        self._merge_repeated_pictures()

    def _check_sizes(self) -> None:
        wrong = []
        for image in self.images:
            sides = [_whole(image.get(side)) for side in ('width', 'height')]
            if image.get('width') is None and image.get('height') is None:
                image.pop('width', None)
                image.pop('height', None)
            elif any(side is None or side <= 0 for side in sides):
                wrong.append(f"'{image['file_name']}' with {image.get('width')} x {image.get('height')}")
            else:
                image['width'], image['height'] = sides
        self._refuse(wrong, 'of the images have a width or height that is no number of pixels; correct both.')

    def _merge_repeated_pictures(self) -> None:
        times = Counter(image['file_name'] for image in self.images)
        if len(times) == len(self.images):
            return
        labels = defaultdict(set)
        for annotation in self.annotations:
            labels[annotation['image_id']].add((annotation['category_id'], str(annotation.get('bbox'))))
        seen: dict[str, set] = {}
        differing = []
        for image in self.images:
            own = labels[image['id']]
            if seen.setdefault(image['file_name'], own) != own:
                differing.append(f"'{image['file_name']}'")
        self._refuse(
            differing,
            'of the pictures are listed more than once, with different annotations, so that each of them lacks the '
            'objects of the other; give all annotations of a picture the same image_id, and list it once.',
        )
        self._repaired(
            [f"'{name}'" for name, count in times.items() if count > 1],
            'of the pictures are listed more than once, with the same annotations; each counts as often.',
        )

    # Annotations

    def _number_annotations(self) -> None:
        """pycocotools takes a match with id 0 for none, and mmdet wants each id once."""
        ids = [annotation.get('id') for annotation in self.annotations]
        if all(type(number) is int and number > 0 for number in ids) and len(set(ids)) == len(ids):
            return
        self._leave_out_repeated_records(ids)
        ids = [annotation.get('id') for annotation in self.annotations]
        times = Counter(map(str, ids))
        odd = [i for i in ids if type(i) is not int or i <= 0 or times[str(i)] > 1]
        self._repaired(
            odd,
            'of the annotation ids are absent, repeated, or no numbers over 0; all annotations are numbered again '
            'within the run (the file stays as it is).',
        )
        if odd:
            for number, annotation in enumerate(self.annotations, start=1):
                annotation['id'] = number

    def _leave_out_repeated_records(self, ids: list) -> None:
        times = Counter(map(str, ids))
        seen: dict[str, list[dict]] = defaultdict(list)
        kept, repeated = [], []
        for annotation in self.annotations:
            name = str(annotation.get('id'))
            if annotation.get('id') is not None and times[name] > 1 and annotation in seen[name]:
                repeated.append(annotation['id'])
                continue
            seen[name].append(annotation)
            kept.append(annotation)
        self._repaired(repeated, 'of the annotations repeat another one in every field; the repetition is left out.')
        self.annotations = kept

    def _normalise_objects(self) -> None:
        sizes = {image['id']: (image.get('width'), image.get('height')) for image in self.images}
        found = _Objects(self.annotations, sizes).sort_out()
        for fault, sentence in REFUSED.items():
            self._refuse(found.items[fault], sentence)
        if len(found.items['shifted']) > CONFLICTING_SHARE * found.with_both:
            self._refuse(found.items['shifted'], SHIFTED + '; correct them: boxes are x, y, width, height.')
        if found.items['shifted']:
            self.doubts.append(
                f"In the annotation file '{self.path}' of {self.key}, {examples(found.items['shifted'])} {SHIFTED}; "
                'boxes and masks are taken as they are.'
            )
        self._refuse_other_forms_of_boxes(found)
        for fault, sentence in REPAIRED.items():
            self._repaired(found.items[fault], sentence)
        self.annotations = [annotation for annotation in self.annotations if id(annotation) not in found.left_out]

    def _refuse_other_forms_of_boxes(self, found: _Objects) -> None:
        if found.boxes and found.within_one == found.boxes:
            raise UserError(
                f"In the annotation file '{self.path}' of {self.key}, all boxes lie between 0 and 1, so they seem to "
                f'be '
                'parts of the picture; give x, y, width and height in pixels.'
            )
        leaving = found.items['leaving']
        if leaving and found.as_corners == found.boxes:
            raise UserError(
                f"In the annotation file '{self.path}' of {self.key}, the boxes of {examples(leaving)} annotations "
                'leave their image, and all boxes fit as x1, y1, x2, y2; COCO has x, y, width, height: correct them.'
            )

    def _ids(self, part: str, own: list, references: list, name: str) -> tuple[list, list]:
        """Ids of images or categories and what refers to them, in one form, with every reference resolved."""
        absent = [number for number, i in enumerate(own) if not _is_id(i)]
        self._refuse([f'entry {number}' for number in absent], f'of the {part} have no usable id; number them.')
        self._refuse(
            self._annotations_where(not _is_id(r) for r in references),
            f'of the annotations have no usable {name}; add it.',
        )
        if not all(type(i) is int for i in own) or not all(type(i) is int for i in references):
            own, references = self._in_one_form(part, own, references)
        times = Counter(own)
        self._refuse(
            [i for i, count in times.items() if count > 1],
            f'of the ids of {part} occur more than once, so that annotations can belong to several; number the {part} '
            f'anew, and the {name} of the annotations with them.',
        )
        known = set(own)
        wanted = sorted({str(r) for r in references if r not in known})
        self._refuse(
            self._annotations_where(r not in known for r in references),
            f'of the annotations have a {name} that none of the {part} has ({first_few(wanted)}); correct it, or '
            'remove them.',
        )
        return own, references

    def _annotations_where(self, wrong: Iterable[bool]) -> list:
        """What names the annotations that are meant: their ids, or else their places in the list."""
        return [
            annotation.get('id', f'entry {number}')
            for number, (annotation, meant) in enumerate(zip(self.annotations, wrong, strict=True))
            if meant
        ]

    def _in_one_form(self, part: str, own: list, references: list) -> tuple[list, list]:
        numbers = [_number(i) for i in own]
        if None not in numbers and len(set(numbers)) == len(set(map(str, own))):
            self.repairs.append(
                f"In the annotation file '{self.path}' of {self.key}, ids of {part} are written as text or with a "
                'decimal point; they are read as whole numbers.'
            )
            return numbers, [r if (number := _number(r)) is None else number for r in references]
        return [str(i) for i in own], [str(r) for r in references]


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


class _Objects:
    """One pass over the annotations, for files of nearly a million."""

    def __init__(self, annotations: list[dict], sizes: dict) -> None:
        self.annotations, self.sizes = annotations, sizes
        self.items: dict[str, list] = defaultdict(list)
        self.left_out: set[int] = set()
        self.boxes = self.within_one = self.as_corners = self.with_both = 0

    def sort_out(self) -> _Objects:
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
            number = _number(crowd) if not isinstance(crowd, bool) else int(crowd)
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
            runs, height, width = _compressed(mask)
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
        annotation['area'] = _area_of_mask(annotation) or float(w * h)


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


def _compressed(mask: dict) -> tuple[dict, int, int]:
    """Run lengths as pycocotools reads them, and their height and width.

    Raises:
        ValueError: if they don't fit their own size.
    """
    height, width = (_whole(side) or 0 for side in mask['size'])
    counts = mask['counts']
    if height <= 0 or width <= 0:
        raise ValueError
    if isinstance(counts, list):
        if any(type(run) is not int or run < 0 for run in counts) or sum(counts) != height * width:
            raise ValueError
        return run_lengths.frPyObjects(dict(size=[height, width], counts=counts), height, width), height, width
    runs = dict(size=[height, width], counts=counts.encode('ascii'))
    if _length(runs['counts']) != height * width:
        raise ValueError
    return runs, height, width


def _length(counts: bytes) -> int:
    """How many pixels compressed run lengths describe; pycocotools reads beyond the end of wrong ones.

    Each run is a number of 5 bits a character, the sixth saying that it goes on, and from the third run on the
    difference to the one before the last (pycocotools' maskApi.c).
    """
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        bits = character - 48
        if not 0 <= bits < 64:
            raise ValueError
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            if len(runs) > 2:
                value += runs[-2]
            if value < 0:
                raise ValueError
            runs.append(value)
            value = shift = 0
    if shift:
        raise ValueError
    return sum(runs)


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


def _area_of_mask(annotation: dict) -> float:
    mask = annotation.get('segmentation')
    if isinstance(mask, dict):
        return float(run_lengths.area(_compressed(mask)[0]))
    return sum(_area_of_polygon(polygon) for polygon in mask or ())


def _area_of_polygon(polygon: Sequence[float]) -> float:
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


def _corners(annotation: dict) -> list[float]:
    x, y, w, h = annotation['bbox']
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def _set(entries: Iterable[dict], name: str, values: Iterable[object]) -> None:
    for entry, value in zip(entries, values, strict=True):
        entry[name] = value


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_id(value: object) -> bool:
    return type(value) is int or (_is_text(value) or (isinstance(value, float) and math.isfinite(value)))


def _number(value: object) -> int | None:
    """A whole number, also one that is written as text or with a point."""
    if type(value) is int:
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    text = value.strip() if isinstance(value, str) else ''
    return int(text) if text.isascii() and text.removeprefix('-').isdigit() and len(text) < 19 else None


def _whole(value: object) -> int | None:
    return None if isinstance(value, bool) else _number(value)
