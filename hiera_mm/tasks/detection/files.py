"""Detects objects in many files: COCO's result format and drawings."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError, examples
from hiera_mm.inference.prediction import Outcome, drawn_name, predict_frames, result_names
from hiera_mm.inference.visualization import draw
from hiera_mm.readers.coco_files import read_annotations
from hiera_mm.readers.inputs import Input
from hiera_mm.tasks.detection.detector import Detector, Tiles
from hiera_mm.tasks.detection.results import Detections, labels_of

import numpy as np


def detect_in_files(
    detector: Detector,
    inputs: Sequence[Input],
    folder: Path,
    batch_size: int = 1,
    score_thr: float = 0.3,
    drawn: bool = True,
    interval: int = 1,
    tiles: Tiles | None = None,
    ann_file: str | None = None,
) -> Outcome:
    """Write ``predictions.json`` and ``images.json`` (see :func:`write_coco`), and copies of images and videos with
    their objects drawn.

    Args:
        detector: The model.
        inputs: Images, videos and streams.
        folder: Output folder.
        batch_size: Number of images or frames that are computed together.
        score_thr: Score threshold for drawing; the files contain all predictions.
        drawn: Whether to draw.
        interval: Predict only every ``interval``-th frame of a video; the frames between show its objects.
        tiles: How to cut large images.
        ann_file: A COCO file whose ids of images and categories are used.

    Raises:
        UserError: if the annotation file does not fit, or the results of two inputs would have the same name.
    """
    if drawn:
        result_names(inputs, drawn_name)
    ids = CocoIds(detector.names, ann_file)
    settings = dict(model=detector.trained.version, classes=detector.names, interval=interval, tiles=tiles)
    outcome = Outcome(folder, dict(settings, drawn=drawn, score_thr=score_thr, ann_file=ann_file), inputs)

    def described(entry: Input) -> dict:
        return dict(img_path=entry.source, **ids.size_of(entry.name))

    writer = ObjectWriter(score_thr)
    predict_frames(detector, outcome, folder, writer, batch_size, drawn, interval, described, tiles=tiles)
    write_coco(folder, outcome.progress.entries(), ids)
    outcome.close()
    return outcome


class ObjectWriter:
    """Keeps all objects of an image or frame and draws those with at least ``score_thr``."""

    def __init__(self, score_thr: float) -> None:
        self.score_thr = score_thr

    def entry(self, found: Detections) -> dict:
        return found.to_json()

    def write(self, found: Detections, name: str, frame: int | None) -> None:
        """Do nothing: all results go into one file at the end."""

    def draw(self, frame: np.ndarray, found: Detections) -> np.ndarray:
        return draw(frame, labels_of(found.above(self.score_thr)))


class CocoIds:
    """Ids of images and categories: those of an annotation file, or counted from 1.

    Args:
        names: The model's classes.
        ann_file: A file in COCO's format, with or without annotations.

    Raises:
        UserError: if the file lacks a class of the model, or can't be read.
    """

    def __init__(self, names: Sequence[str], ann_file: str | None = None) -> None:
        self.ann_file, self.images = ann_file, None
        self.categories = {name: number for number, name in enumerate(names, start=1)}
        if ann_file is not None:
            content = read_annotations(ann_file, '--ann-file', without_objects=True)
            self.images = {image['file_name']: image for image in content.images}
            given = {category['name']: category['id'] for category in content.categories}
            if absent := [name for name in names if name not in given]:
                raise UserError(
                    f"The annotation file '{ann_file}' lacks {examples(absent)} of the model's {len(names)} classes; "
                    'give the file that belongs to the images.'
                )
            self.categories = {name: given[name] for name in names}

    def image_id(self, name: str, count: int) -> Any:
        """Id of the ``count``-th image or frame."""
        return count if self.images is None else self.images[name]['id']

    def size_of(self, name: str) -> dict:
        """``width`` and ``height`` of an image in the annotation file, if given.

        Raises:
            UserError: if the annotation file does not have the image.
        """
        if self.images is None:
            return {}
        if name not in self.images:
            raise UserError(
                f"The annotation file '{self.ann_file}' has no image '{name}', but {examples(list(self.images))}; give "
                'the folder to which its file names are relative.'
            )
        return {key: self.images[name][key] for key in ('width', 'height') if key in self.images[name]}


def write_coco(folder: Path, entries: Iterable[dict], ids: CocoIds) -> None:
    """Write ``predictions.json``, COCO's result format, and ``images.json``, the images and categories of its ids,
    one entry at a time.

    Args:
        folder: Output folder.
        entries: A dict for each image or frame: ``input``, ``width``, ``height``, ``objects``, and for videos
            ``frame`` and ``time``.
        ids: Ids of images and categories.
    """
    categories = [dict(id=number, name=name) for name, number in ids.categories.items()]
    with (
        atomic_write(folder / 'images.json') as images,
        atomic_write(folder / 'predictions.json') as predictions,
        images.open('w') as image_file,
        predictions.open('w') as prediction_file,
    ):
        image_file.write(json.dumps(dict(categories=categories))[:-1] + ', "images": [')
        prediction_file.write('[')
        comma = ''
        for count, entry in enumerate(entries, start=1):
            objects, name = entry.pop('objects'), entry.pop('input')
            number = ids.image_id(name, count)
            image_file.write((',\n' if count > 1 else '\n') + json.dumps(dict(id=number, file_name=name, **entry)))
            for found in objects:
                category = ids.categories[found['category_name']]
                prediction_file.write(comma + '\n' + json.dumps(dict(image_id=number, category_id=category, **found)))
                comma = ','
        image_file.write(']}\n')
        prediction_file.write(']\n')
