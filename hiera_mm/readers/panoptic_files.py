"""Reads annotation files in COCO's panoptic format: repairs what is beyond doubt, and refuses other faults.

docs/panoptic.md has a table of what happens to each field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from hiera_mm.errors import UserError, examples, first_few
from hiera_mm.readers.coco_files import garbage_collection_paused, read_sections
from hiera_mm.readers.panoptic_normaliser import PanopticNormaliser

MAX_CLASSES = 255
"""255 marks pixels without a class."""


@dataclass(frozen=True)
class PanopticFile:
    """The content of a panoptic annotation file.

    Attributes:
        path: The file.
        images: Each with ``id``, ``file_name``, and ``width`` and ``height`` in pixels, or neither.
        annotations: One for each annotated image: ``image_id``, ``file_name`` of its segment map, and
            ``segments_info``, each with ``id``, ``category_id`` and ``iscrowd``, and with ``area`` and ``bbox`` where
            the file has them.
        categories: Each with ``id``, ``name`` and ``isthing``, which is None where the file does not say it.
        repairs: A sentence for each thing that was derived or left out.
        fit_turned: Empty; boxes follow from the segment maps.
    """

    path: Path
    images: list[dict]
    annotations: list[dict]
    categories: list[dict]
    repairs: list[str] = field(default_factory=list)
    fit_turned: set = field(default_factory=set)

    def labels(self, things: Sequence[str], stuff: Sequence[str], some_suffice: bool = False) -> dict[int, int]:
        """The number of each category's class by the category's id; categories that are no class are left out.

        Args:
            things, stuff: Names of the classes; their numbers follow this order, and the file's order does not matter.
            some_suffice: Whether the file may lack classes.

        Raises:
            UserError: for classes that the file lacks, or whose ``isthing`` says the opposite.
        """
        names, ids = [*things, *stuff], {category['name']: category['id'] for category in self.categories}
        missing = [name for name in names if name not in ids]
        if missing and (not some_suffice or len(missing) == len(names) or {*ids} - {*names}):
            raise UserError(self._missing_classes_message(missing, list(ids), len(names)))
        wrong = {
            isthing: [c['name'] for c in self.categories if c['name'] in opposite and c['isthing'] == isthing]
            for isthing, opposite in ((1, stuff), (0, things))
        }
        for isthing, told in wrong.items():
            if told:
                here, there = ('things', 'stuff_classes') if isthing else ('stuff', 'thing_classes')
                raise UserError(
                    f"The annotation file '{self.path}' says by isthing that {examples(told)} of the classes are "
                    f'{here}, but the config has them in {there}; correct thing_classes and stuff_classes at the top '
                    'of the config, or isthing in the file.'
                )
        return {ids[name]: number for number, name in enumerate(names) if name in ids}

    def _missing_classes_message(self, missing: list[str], given: list[str], number: int) -> str:
        close = get_close_matches(missing[0], given, n=1)
        meant = f"; did you mean '{close[0]}' by '{missing[0]}'?" if close else ''
        return (
            f"The annotation file '{self.path}' lacks {examples(missing)} of the {number} classes of the config, and "
            f'has {first_few(given, 10)}{meant or ";"} set thing_classes and stuff_classes at the top of the config to '
            'its names.'
        )


def read_panoptic(path: str | Path, key: str, *, without_annotations: bool = False) -> PanopticFile:
    """Read and normalise a panoptic annotation file.

    Args:
        path: The file.
        key: The config key that names it, for messages.
        without_annotations: Whether the list of annotations may be missing, as in the files of test sets.

    Raises:
        UserError: if the file is missing, is not JSON, holds annotations of another kind, or has images, annotations or
            categories that can't be used.
    """
    path = Path(path)
    content = read_sections(path, key, without_annotations)
    first = content['annotations'][:1]
    if any(isinstance(a, dict) and 'segments_info' not in a and {'bbox', 'segmentation'} & a.keys() for a in first):
        raise UserError(
            f"The annotation file '{path}' of {key} holds instances (boxes and masks of objects) instead of panoptic "
            'annotations (segments_info, and a PNG for each image); give the panoptic file, or train the instances '
            'with a config such as mask2former_hiera_t_coco.py.'
        )
    with garbage_collection_paused():
        normaliser = PanopticNormaliser(path, key, *(content[part] for part in ('images', 'annotations', 'categories')))
        normaliser.normalise()
    return PanopticFile(path, normaliser.images, normaliser.annotations, normaliser.categories, normaliser.repairs)
