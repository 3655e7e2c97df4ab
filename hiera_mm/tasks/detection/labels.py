"""A detector's predictions as an annotation file, to be corrected by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError
from hiera_mm.inference.prediction import Outcome
from hiera_mm.inference.trained import Predictor
from hiera_mm.readers.inputs import Input
from hiera_mm.tasks.detection.detector import Detector
from hiera_mm.tasks.detection.files import detect_in_files
from hiera_mm.weights.origin import licences_of

import cv2
import numpy as np
from pycocotools import mask as coco_masks

FILE = 'labels.json'

FINER = 4
"""Outlines are traced through the middles of pixels, so on a finer grid they come closer to the pixels' edges."""


def label_files(
    model: Predictor, inputs: Sequence[Input], folder: Path, least_score: float, batch_size: int, drawn: bool
) -> tuple[Outcome, Path, int]:
    """Predict the objects of images, and write those of at least ``least_score`` as annotations.

    Args:
        model: A detector.
        inputs: Images.
        folder: Output folder, as of :func:`~hiera_mm.tasks.detection.files.detect_in_files`.
        least_score: The lowest score.
        batch_size: Number of images that are computed together.
        drawn: Whether to draw the objects.

    Returns:
        What became of the images, the file, and its number of objects.

    Raises:
        UserError: for a model of another task.
    """
    trained = model.trained
    if not isinstance(model, Detector):
        raise UserError(
            f"'{trained.source}' is one of the {trained.task.name}, but objects are labelled by a detector; name one."
        )
    outcome = detect_in_files(model, inputs, folder, batch_size, least_score, drawn)
    return outcome, *write_labels(folder, least_score, Path(trained.source).name, licences_of(trained.origins))


def write_labels(folder: Path, least_score: float, source: str, licence: str) -> tuple[Path, int]:
    """Write ``labels.json`` in COCO's format with the objects of at least ``least_score``, from the results
    of a detection.

    Masks become polygons, as labelling programs take them; their holes are closed. Each object has its ``score`` and
    ``source``, and ``frame`` and ``time`` of images that are frames of videos are those of ``images.json``.

    Args:
        folder: With ``predictions.json`` and ``images.json``.
        least_score: The lowest score.
        source: The model, for the file.
        licence: Of the weights that the model began with, for the file.

    Returns:
        The file and its number of objects.
    """
    content = json.loads((folder / 'images.json').read_text())
    annotations: list[dict[str, Any]] = []
    for found in json.loads((folder / 'predictions.json').read_text()):
        if found['score'] >= least_score:
            annotations.append(dict(_annotation(found), id=len(annotations) + 1, source=source))
    said = f'Predictions of {source} with scores of at least {least_score:g}, uncorrected'
    content['info'] = dict(description=said, licence=licence)
    content['annotations'] = annotations
    path = folder / FILE
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(content))
    return path, len(annotations)


def _annotation(found: dict[str, Any]) -> dict[str, Any]:
    annotation = {key: found[key] for key in ('image_id', 'category_id', 'bbox', 'score')}
    annotation.update(area=found['bbox'][2] * found['bbox'][3], iscrowd=0, segmentation=[])
    if 'segmentation' in found:
        annotation['segmentation'] = polygons_of(coco_masks.decode(found['segmentation']))
        annotation['area'] = int(coco_masks.area(found['segmentation']))
    return annotation


def polygons_of(mask: np.ndarray) -> list[list[float]]:
    """The outlines of a mask's parts, ``[x1, y1, x2, y2, ...]`` in pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    top, left = rows[0], columns[0]
    part = mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.uint8)
    finer = part.repeat(FINER, axis=0).repeat(FINER, axis=1)
    outlines, _ = cv2.findContours(finer, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    places = [(outline.reshape(-1, 2) + 0.5) / FINER + (left, top) for outline in outlines if len(outline) >= 3]
    return [[round(float(value), 2) for value in one.reshape(-1)] for one in places]
