"""Brings the images, annotations and categories of a panoptic COCO file into one form."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator
from pathlib import PurePosixPath
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.readers.coco_normaliser import Normaliser
from hiera_mm.readers.coco_values import is_text, number_of
from hiera_mm.readers.segment_maps import MAX_ID, VOID


class PanopticNormaliser(Normaliser):
    """As :class:`Normaliser`, for files whose annotations are an image's segments each."""

    def normalise(self) -> None:
        """Normalise the lists in place.

        Raises:
            UserError: for anything that can't be repaired without doubt.
        """
        self._check_entries()
        self._check_segment_lists()
        self._normalise_images()
        self._leave_out_repeated()
        self._normalise_maps()
        self._normalise_category_ids()
        self._normalise_things()
        self._normalise_segments()

    def _label_of(self, annotation: dict) -> Hashable:
        return str(annotation['segments_info'])

    def _check_segment_lists(self) -> None:
        def is_list_of_dicts(value: Any) -> bool:
            return isinstance(value, list) and all(isinstance(segment, dict) for segment in value)

        self._refuse(
            [
                f'image {a.get("image_id", f"of entry {number}")}'
                for number, a in enumerate(self.annotations)
                if not is_list_of_dicts(a.get('segments_info'))
            ],
            'of the annotations have no list of dicts segments_info; list the segments of each image there.',
        )

    def _leave_out_repeated(self) -> None:
        seen: dict[Hashable, dict] = {}
        kept: list[dict] = []
        repeated: list[str] = []
        differing: list[str] = []
        for annotation in self.annotations:
            first = seen.setdefault(annotation['image_id'], annotation)
            if first is annotation:
                kept.append(annotation)
                continue
            same = all(first.get(key) == annotation.get(key) for key in ('file_name', 'segments_info'))
            (repeated if same else differing).append(f'image {annotation["image_id"]}')
        self._refuse(
            differing,
            'of the images have several annotations that differ; leave one for each image, with all of its segments.',
        )
        self._note_repair(repeated, 'of the annotations repeat that of the same image; the repetition is left out.')
        self.annotations = kept

    def _normalise_maps(self) -> None:
        """The file names of the segment maps."""
        names = {image['id']: image['file_name'] for image in self.images}
        derived, wrong = [], []
        for annotation in self.annotations:
            given = annotation.get('file_name')
            if given is None:
                annotation['file_name'] = str(PurePosixPath(names[annotation['image_id']]).with_suffix('.png'))
                derived.append(f'image {annotation["image_id"]}')
            elif not is_text(given):
                wrong.append(f'image {annotation["image_id"]}')
            else:
                annotation['file_name'] = given.replace('\\', '/')
        self._refuse(wrong, 'of the annotations have a file_name that is not text; name the PNG of the segments.')
        self._note_repair(
            derived, 'of the annotations have no file_name; the segment map has the name of the image and ends in .png.'
        )
        times = Counter(annotation['file_name'] for annotation in self.annotations)
        self._refuse(
            [f"'{name}'" for name, count in times.items() if count > 1],
            'of the segment maps are named by the annotations of several images; name for each image its own.',
        )

    def _normalise_category_ids(self) -> None:
        """Those of segments follow those of categories."""
        by_image, self.annotations = (
            self.annotations,
            [dict(id=place, category_id=segment.get('category_id')) for place, segment in self._segments()],
        )
        entries, segments = self.annotations, [s for a in by_image for s in a['segments_info']]
        self._normalise_categories()
        for entry, segment in zip(entries, segments, strict=True):
            segment['category_id'] = entry['category_id']
        self.annotations = by_image

    def _segments(self) -> Iterator[tuple[str, dict]]:
        """Each segment, and its name in messages."""
        for annotation in self.annotations:
            for segment in annotation['segments_info']:
                yield f'segment {segment.get("id")} of image {annotation["image_id"]}', segment

    def _normalise_things(self) -> None:
        read = {category['id']: _flag(category.get('isthing')) for category in self.categories}
        self._refuse(
            [f"'{c['name']}'" for c in self.categories if read[c['id']] is None and c.get('isthing') is not None],
            'of the categories have an isthing other than 1, for things, and 0, for stuff; correct it.',
        )
        self._note_repair(
            [f"'{c['name']}'" for c in self.categories if c.get('isthing') is None],
            'of the categories do not say by isthing whether they are things; thing_classes and stuff_classes of the '
            'config do.',
        )
        for category in self.categories:
            category['isthing'] = read[category['id']]

    def _normalise_segments(self) -> None:
        wrong, from_colours, from_text, crowds, no_crowd = [], [], [], [], []
        for place, segment in self._segments():
            given, crowd = segment.get('id'), segment.get('iscrowd')
            number = _id_of_colour(given) if isinstance(given, list | tuple) else number_of(given)
            if number is None or isinstance(given, bool) or not VOID < number <= MAX_ID:
                wrong.append(place)
                continue
            if isinstance(given, list | tuple):
                from_colours.append(place)
            elif type(given) is not int:
                from_text.append(place)
            segment['id'] = number
            if crowd is None:
                no_crowd.append(place)
            elif _flag(crowd) is None:
                crowds.append(place)
            segment['iscrowd'] = _flag(crowd) or 0
            for key, length in (('area', 0), ('bbox', 4)):
                if not _is_measure(segment.get(key), length):
                    segment.pop(key, None)
        self._refuse(
            wrong,
            f'of the segments have an id that is not a whole number from 1 to {MAX_ID}, as R + 256 G + 256 * 256 B of '
            'their colour in the PNG is; correct it (0, black, is for pixels without a segment).',
        )
        self._refuse(crowds, 'of the segments have an iscrowd other than 0 and 1; correct it.')
        self._note_repair(from_colours, 'of the segments have a colour as id; it is read as R + 256 G + 256 * 256 B.')
        self._note_repair(from_text, 'of the segments have an id that is written as text or with a decimal point.')
        self._note_repair(no_crowd, 'of the segments lack iscrowd; it is taken to be 0.')
        self._refuse(
            [
                f'segment {number} of image {annotation["image_id"]}'
                for annotation in self.annotations
                for number, times in Counter(segment['id'] for segment in annotation['segments_info']).items()
                if times > 1
            ],
            'of the segments are listed more than once; list each once, with one category.',
        )
        if self.annotations:
            annotated = {a['image_id'] for a in self.annotations if a['segments_info']}
            bare = [f"'{image['file_name']}'" for image in self.images if image['id'] not in annotated]
            if len(bare) == len(self.images):
                raise UserError(
                    f"The annotation file '{self.path}' of {self.key} has no segment in any image; annotate some, or "
                    'give another file.'
                )
            self._note_repair(bare, 'of the images have no annotation or no segment in it; they are left out.')


def _flag(value: object) -> int | None:
    """0 or 1, also if written as text or as a truth value; None for anything else."""
    number = int(value) if isinstance(value, bool) else number_of(value)
    return number if number in (0, 1) else None


def _id_of_colour(value: Any) -> int | None:
    """The id of a colour ``[R, G, B]``."""
    if len(value) != 3 or not all(type(part) is int and 0 <= part <= 255 for part in value):
        return None
    return value[0] + 256 * value[1] + 256**2 * value[2]


def _is_measure(value: Any, length: int) -> bool:
    """Whether a value is a number, or a list of ``length`` numbers."""
    parts = value if length and isinstance(value, list) and len(value) == length else [None if length else value]
    return all(isinstance(p, int | float) and not isinstance(p, bool) and math.isfinite(p) for p in parts)
