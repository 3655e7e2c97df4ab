"""Brings the images, annotations and categories of a COCO file into the form that mmdet and pycocotools expect."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hiera_mm.errors import UserError, examples, first_few
from hiera_mm.readers.coco_objects import OTHER_FORMS, REFUSED, REPAIRED, SHIFTED, ObjectChecker
from hiera_mm.readers.coco_values import is_id, is_text, number_of, whole_number

SECTIONS = ('images', 'annotations', 'categories')

MAX_SHIFTED_SHARE = 0.1
"""If a larger share of the boxes don't match their masks, the file is refused."""


class Normalised(NamedTuple):
    """The normalised lists, a sentence for each repair and each doubt, and the images whose boxes would fit if they
    were turned."""

    images: list[dict]
    annotations: list[dict]
    categories: list[dict]
    repairs: list[str]
    doubts: list[str]
    fit_turned: set


class Normaliser:
    """Normalises the three lists in place, and collects faults so that one sentence names all items with the same
    one."""

    def __init__(self, path: Path, key: str, images: list, annotations: list, categories: list) -> None:
        self.path, self.key = path, key
        self.images, self.annotations, self.categories = images, annotations, categories
        self.repairs: list[str] = []
        self.doubts: list[str] = []
        self.fit_turned: set = set()

    def run(self) -> Normalised:
        """Normalise everything.

        Raises:
            UserError: for anything that can't be repaired without doubt.
        """
        self._check_entries()
        self._normalise_categories()
        self._normalise_images()
        self._number_annotations()
        self._normalise_objects()
        return Normalised(self.images, self.annotations, self.categories, self.repairs, self.doubts, self.fit_turned)

    def _refuse(self, items: Sequence[object], fault: str) -> None:
        """Raise if there are any items; ``fault`` completes the sentence after their names."""
        if items:
            raise UserError(f"In the annotation file '{self.path}' of {self.key}, {examples(items)} {fault}")

    def _note_repair(self, items: Sequence[object], repair: str) -> None:
        if items:
            self.repairs.append(f"In the annotation file '{self.path}' of {self.key}, {examples(items)} {repair}")

    def _check_entries(self) -> None:
        for part in SECTIONS:
            entries = getattr(self, part)
            self._refuse(
                [f'entry {number} of {part}' for number, e in enumerate(entries) if not isinstance(e, dict)],
                'of the lists are not dicts; remove them or export the file again.',
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
        numbers = self._resolve_ids('categories', own, [a.get('category_id') for a in self.annotations], 'category_id')
        _set_values(self.categories, 'id', numbers[0])
        _set_values(self.annotations, 'category_id', numbers[1])

    # Images

    def _normalise_images(self) -> None:
        own = [image.get('id') for image in self.images]
        own, references = self._resolve_ids('images', own, [a.get('image_id') for a in self.annotations], 'image_id')
        _set_values(self.images, 'id', own)
        _set_values(self.annotations, 'image_id', references)
        names = [image.get('file_name') for image in self.images]
        self._refuse(
            [f'image {image["id"]}' for image, name in zip(self.images, names, strict=True) if not is_text(name)],
            'of the images have no file_name; add the path of each image below the image folder.',
        )
        self._note_repair(
            [f"'{name}'" for name in names if '\\' in name],
            'of the file names separate folders by backslashes; they are read as slashes.',
        )
        for image in self.images:
            image['file_name'] = image['file_name'].replace('\\', '/')
        self._check_sizes()
        self._check_repeated_images()

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
        self._refuse(wrong, 'of the images have a width or height that is not a number of pixels; correct both.')

    def _check_repeated_images(self) -> None:
        times = Counter(image['file_name'] for image in self.images)
        if len(times) == len(self.images):
            return
        labels = defaultdict(set)
        for annotation in self.annotations:
            labels[annotation['image_id']].add(self._label_of(annotation))
        seen: dict[str, set] = {}
        differing = []
        for image in self.images:
            own = labels[image['id']]
            if seen.setdefault(image['file_name'], own) != own:
                differing.append(f"'{image['file_name']}'")
        self._refuse(
            differing,
            'of the images are listed more than once, with different annotations, so that each entry lacks objects of '
            'the other; give all annotations of an image the same image_id, and list the image once.',
        )
        self._note_repair(
            [f"'{name}'" for name, count in times.items() if count > 1],
            'of the images are listed more than once, with the same annotations; each entry counts.',
        )

    def _label_of(self, annotation: dict) -> Hashable:
        """What two annotations of the same object share."""
        return annotation['category_id'], str(annotation.get('bbox'))

    # Annotations

    def _number_annotations(self) -> None:
        """Renumber the annotations where needed: pycocotools takes a match with id 0 for no match, and mmdet needs
        unique ids."""
        ids = [annotation.get('id') for annotation in self.annotations]
        if all(type(number) is int and number > 0 for number in ids) and len(set(ids)) == len(ids):
            return
        self._leave_out_repeated_records(ids)
        ids = [annotation.get('id') for annotation in self.annotations]
        times = Counter(map(str, ids))
        odd = [i for i in ids if type(i) is not int or i <= 0 or times[str(i)] > 1]
        self._note_repair(
            odd,
            'of the annotation ids are missing, repeated, or not numbers above 0; all annotations are renumbered for '
            'this run (the file stays as it is).',
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
        self._note_repair(repeated, 'of the annotations repeat another one in every field; the repetition is left out.')
        self.annotations = kept

    def _normalise_objects(self) -> None:
        sizes = {image['id']: (image.get('width'), image.get('height')) for image in self.images}
        found = ObjectChecker(self.annotations, sizes).run()
        for fault, sentence in REFUSED.items():
            self._refuse(found.items[fault], sentence)
        if len(found.items['shifted']) > MAX_SHIFTED_SHARE * found.with_both:
            self._refuse(found.items['shifted'], SHIFTED + '; correct them: boxes are x, y, width, height.')
        if found.items['shifted']:
            self.doubts.append(
                f"In the annotation file '{self.path}' of {self.key}, {examples(found.items['shifted'])} {SHIFTED}; "
                'boxes and masks are taken as they are.'
            )
        self._refuse_other_forms_of_boxes(found)
        self.fit_turned = found.fit_turned
        for fault, sentence in REPAIRED.items():
            self._note_repair(found.items[fault], sentence)
        self.annotations = [annotation for annotation in self.annotations if id(annotation) not in found.left_out]

    def _refuse_other_forms_of_boxes(self, found: ObjectChecker) -> None:
        if found.boxes and found.within_one == found.boxes:
            raise UserError(
                f"In the annotation file '{self.path}' of {self.key}, all boxes lie between 0 and 1, so they seem to "
                "be fractions of the image's sides; give x, y, width and height in pixels."
            )
        leaving = found.items['leaving'] + found.items['empty']
        form = next((form for form in OTHER_FORMS if form in found.forms), None)
        if leaving and found.boxes and form:
            raise UserError(
                f"In the annotation file '{self.path}' of {self.key}, the boxes of {examples(leaving)} annotations "
                f'leave their image, and all boxes fit as {form}; COCO has x, y, width, height: correct them'
                f'{" (or width and height of the images, if these are exchanged)" if form.startswith("y") else ""}.'
            )

    def _resolve_ids(self, part: str, own: list, references: list, name: str) -> tuple[list, list]:
        """Bring ids of images or categories and the references to them into one form, and resolve every reference."""
        missing = [number for number, i in enumerate(own) if not is_id(i)]
        self._refuse([f'entry {number}' for number in missing], f'of the {part} have no usable id; number them.')
        self._refuse(
            self._annotations_where(not is_id(r) for r in references),
            f'of the annotations have no usable {name}; add it.',
        )
        if not all(type(i) is int for i in own) or not all(type(i) is int for i in references):
            own, references = self._unify_ids(part, own, references)
        times = Counter(own)
        self._refuse(
            [i for i, count in times.items() if count > 1],
            f'of the ids of {part} occur more than once, so that an annotation could belong to several; renumber the '
            f'{part}, and the {name} of the annotations with them.',
        )
        known = set(own)
        wanted = sorted({str(r) for r in references if r not in known})
        self._refuse(
            self._annotations_where(r not in known for r in references),
            f'of the annotations refer by {name} to {part} that do not exist ({first_few(wanted)}); correct it, or '
            'remove them.',
        )
        return own, references

    def _annotations_where(self, wrong: Iterable[bool]) -> list:
        """Names of the annotations where ``wrong`` is true: their ids, or else their positions in the list."""
        return [
            annotation.get('id', f'entry {number}')
            for number, (annotation, is_wrong) in enumerate(zip(self.annotations, wrong, strict=True))
            if is_wrong
        ]

    def _unify_ids(self, part: str, own: list, references: list) -> tuple[list, list]:
        numbers = [number_of(i) for i in own]
        if None not in numbers and len(set(numbers)) == len(set(map(str, own))):
            self.repairs.append(
                f"In the annotation file '{self.path}' of {self.key}, ids of {part} are written as text or with a "
                'decimal point; they are read as whole numbers.'
            )
            return numbers, [r if (number := number_of(r)) is None else number for r in references]
        return [str(i) for i in own], [str(r) for r in references]


def _set_values(entries: Iterable[dict], name: str, values: Iterable[object]) -> None:
    for entry, value in zip(entries, values, strict=True):
        entry[name] = value
