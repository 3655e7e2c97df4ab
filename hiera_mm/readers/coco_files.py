"""Reads annotation files in COCO's format: repairs what is beyond doubt, and refuses other faults.

docs/detection.md has a table of what happens to each field.
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from hiera_mm.errors import UserError, examples
from hiera_mm.readers.coco_normaliser import SECTIONS, Normaliser

UNKNOWN_PIXEL = 2
"""The value of an unknown mask's pixels; those of a known mask are 1."""


@dataclass(frozen=True)
class CocoFile:
    """The content of an annotation file, in the form that mmdet and pycocotools expect.

    Attributes:
        path: The file.
        images: Each with ``id``, ``file_name``, and ``width`` and ``height`` in pixels, or neither.
        annotations: Each with ``id``, ``image_id``, ``category_id``, ``bbox``, ``area`` and ``iscrowd``; with
            ``segmentation`` where the file has it.
        categories: Each with ``id`` and ``name``.
        repairs: A sentence for each thing that was derived or left out.
        doubts: A sentence for each thing that may be right but often is not.
        fit_turned: Ids of images of which a box leaves the size in the file, but would fit if the image were turned.
    """

    path: Path
    images: list[dict]
    annotations: list[dict]
    categories: list[dict]
    repairs: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    fit_turned: set = field(default_factory=set)

    def for_masks(self, fill_masks_from_boxes: bool | None) -> CocoFile:
        """A copy in which every annotation has a mask. For a crowd without one it is the box, since a crowd only
        excludes its region from scoring.

        Args:
            fill_masks_from_boxes: For objects without a mask: True takes the box as the mask, False takes an
                :class:`UnknownMask`, None refuses them.

        Raises:
            UserError: if objects lack masks and ``fill_masks_from_boxes`` is None, or if no object has a mask and it
                is not True.
        """
        bare = [annotation for annotation in self.annotations if 'segmentation' not in annotation]
        lacking = [annotation['id'] for annotation in bare if not annotation['iscrowd']]
        objects = sum(not annotation['iscrowd'] for annotation in self.annotations)
        if lacking and (fill_masks_from_boxes is None or len(lacking) == objects and not fill_masks_from_boxes):
            raise UserError(self._missing_masks_message(lacking, objects))
        mask_type = list if fill_masks_from_boxes else UnknownMask
        annotations = [
            a if 'segmentation' in a else a | dict(segmentation=(list if a['iscrowd'] else mask_type)([_corners(a)]))
            for a in self.annotations
        ]
        return replace(self, annotations=annotations)

    def _missing_masks_message(self, lacking: list, objects: int) -> str:
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
    """The box of an object whose mask was not annotated, in place of polygons."""


def read_annotations(path: str | Path, key: str, *, without_objects: bool = False) -> CocoFile:
    """Read and normalise an annotation file.

    Args:
        path: The file.
        key: The config key that names it, for messages.
        without_objects: Whether the list of annotations may be missing, as in the files of test sets.

    Raises:
        UserError: if the file is missing, is not JSON, or has images, annotations or categories that can't be used.
    """
    path = Path(path)
    content = read_sections(path, key, without_objects)
    if any(isinstance(entry, dict) and 'segments_info' in entry for entry in content['annotations'][:1]):
        raise UserError(
            f"The annotation file '{path}' of {key} holds panoptic annotations (segments_info), and this model learns "
            'objects; give the file of the instances, or train things and stuff with a config such as '
            'mask2former_hiera_t_coco_panoptic.py.'
        )
    with garbage_collection_paused():
        return CocoFile(path, *Normaliser(path, key, *(content[part] for part in SECTIONS)).run())


def read_sections(path: Path, key: str, without_annotations: bool) -> dict[str, list]:
    """The content of a file with the lists of COCO's formats, as it is.

    Args:
        path: The file.
        key: The config key that names it, for messages.
        without_annotations: Whether the list of annotations may be missing.

    Raises:
        UserError: if the file is missing, is not JSON, or lacks a list.
    """
    content = _parsed(path, key)
    if not isinstance(content, dict):
        raise UserError(
            f"The annotation file '{path}' of {key} is not in COCO format: it holds a {type(content).__name__} instead "
            'of a dict with images, annotations and categories.'
        )
    if without_annotations and content.get('annotations') is None:
        content['annotations'] = []
    missing = [part for part in SECTIONS if part not in content]
    if missing:
        raise UserError(f"The annotation file '{path}' of {key} is not in COCO format: it lacks {', '.join(missing)}.")
    for part in SECTIONS:
        if not isinstance(content[part], list):
            raise UserError(
                f"The annotation file '{path}' of {key} is not in COCO format: its {part} are a "
                f'{type(content[part]).__name__} instead of a list.'
            )
    return content


def _parsed(path: Path, key: str) -> object:
    if not path.is_file():
        raise UserError(
            f"The annotation file '{path}' of {key} does not exist; put it there or set it with "
            f'--cfg-options {key}=FILE.'
        )
    try:
        with garbage_collection_paused():
            # Given bytes, json detects the encoding itself, including byte-order marks.
            return json.loads(path.read_bytes())
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error) or type(error).__name__
        raise UserError(f"The annotation file '{path}' of {key} is not valid JSON: {reason}.") from error
    except OSError as error:
        raise UserError(f"The annotation file '{path}' of {key} can't be read: {error.strerror}.") from error


@contextmanager
def garbage_collection_paused() -> Iterator[None]:
    """Garbage collection takes half of the time while millions of small lists are created."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _corners(annotation: dict) -> list[float]:
    x, y, w, h = annotation['bbox']
    return [x, y, x + w, y, x + w, y + h, x, y + h]
