"""The three lists of an annotation file brought into the form that mmdet and pycocotools expect."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hiera_mm.errors import UserError, examples, first_few
from hiera_mm.readers.coco_objects import REFUSED, REPAIRED, SHIFTED, Objects
from hiera_mm.readers.coco_values import is_id, is_text, number_of, whole_number

PARTS = ('images', 'annotations', 'categories')

CONFLICTING_SHARE = 0.1
"""More of the boxes that have nothing to do with their masks than this are a fault of the file."""


class Normalised(NamedTuple):
    """The lists in order, and a sentence for each repair and each doubt."""

    images: list[dict]
    annotations: list[dict]
    categories: list[dict]
    repairs: list[str]
    doubts: list[str]


class Normaliser:
    """Brings the three lists of a file into order, in place, and gathers what it finds, so that one sentence names all
    items with the same fault."""

    def __init__(self, path: Path, key: str, images: list, annotations: list, categories: list) -> None:
        self.path, self.key = path, key
        self.images, self.annotations, self.categories = images, annotations, categories
        self.repairs: list[str] = []
        self.doubts: list[str] = []

    def run(self) -> Normalised:
        """All of it."""
        self._check_entries()
        self._normalise_categories()
        self._normalise_images()
        self._number_annotations()
        self._normalise_objects()
        return Normalised(self.images, self.annotations, self.categories, self.repairs, self.doubts)

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
            [f'image {image["id"]}' for image, name in zip(self.images, names, strict=True) if not is_text(name)],
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
            sides = [whole_number(image.get(side)) for side in ('width', 'height')]
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
        found = Objects(self.annotations, sizes).sort_out()
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

    def _refuse_other_forms_of_boxes(self, found: Objects) -> None:
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
        absent = [number for number, i in enumerate(own) if not is_id(i)]
        self._refuse([f'entry {number}' for number in absent], f'of the {part} have no usable id; number them.')
        self._refuse(
            self._annotations_where(not is_id(r) for r in references),
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
        numbers = [number_of(i) for i in own]
        if None not in numbers and len(set(numbers)) == len(set(map(str, own))):
            self.repairs.append(
                f"In the annotation file '{self.path}' of {self.key}, ids of {part} are written as text or with a "
                'decimal point; they are read as whole numbers.'
            )
            return numbers, [r if (number := number_of(r)) is None else number for r in references]
        return [str(i) for i in own], [str(r) for r in references]


def _set(entries: Iterable[dict], name: str, values: Iterable[object]) -> None:
    for entry, value in zip(entries, values, strict=True):
        entry[name] = value
