"""Detects objects in many files: COCO's result format and drawings."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError, examples
from hiera_mm.inference.prediction import Outcome, drawn_name, predict_frames, result_names
from hiera_mm.inference.visualization import draw
from hiera_mm.readers.coco_files import read_annotations
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.tasks.detection.detector import Detector
from hiera_mm.tasks.detection.results import Detections, labels_of
from hiera_mm.tasks.detection.tiles import Tiles
from hiera_mm.tasks.detection.tracking import TrackingDetector, write_tracks

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
    track: bool = False,
) -> Outcome:
    """Write the results in COCO's format (see :func:`write_coco`), and copies of images and videos with
    their objects drawn.

    Args:
        detector: The model.
        inputs: Images, videos and streams.
        folder: Output folder.
        batch_size: Number of images or frames that are computed together.
        score_thr: Score from which objects are drawn and, without ``ann_file``, have masks; all boxes are written.
        drawn: Whether to draw.
        interval: Predict only every ``interval``-th frame of a video; the frames between show its objects.
        tiles: How to cut large images.
        ann_file: A COCO file whose ids of images and categories are used.
        track: Whether to follow the objects of videos: entries of those with a number have a ``track_id``, and
            ``tracks.csv`` has a row for each in each frame.

    Raises:
        UserError: if the annotation file does not fit, or the results of two inputs would have the same name.
    """
    # A fault of the settings is none of the inputs'.
    if tiles is not None:
        tiles.check()
    if drawn:
        result_names(inputs, drawn_name)
    ids = CocoIds(detector.names, ann_file)
    if ann_file and (films := [entry.source for entry in inputs if entry.kind is not Kind.IMAGE]):
        raise UserError(
            f"{examples(films)} of the inputs are videos or streams, whose frames are not in '{ann_file}'; predict "
            'them without --ann-file.'
        )
    for entry in inputs:
        ids.size_of(entry.name)
    if track and all(entry.kind is Kind.IMAGE for entry in inputs):
        raise UserError('All inputs are images, but --track follows objects through videos; leave it out.')
    settings = dict(model=detector.trained.version, classes=detector.names, interval=interval, tiles=tiles, track=track)
    outcome = Outcome(folder, dict(settings, drawn=drawn, score_thr=score_thr, ann_file=ann_file), inputs)

    def described(entry: Input) -> dict:
        return dict(img_path=entry.source, **ids.size_of(entry.name))

    # Results that are scored need all masks.
    options = dict(tiles=tiles, mask_score_thr=0 if ann_file else score_thr)
    writer = ObjectWriter(score_thr)
    predictor = TrackingDetector(detector, score_thr) if track else detector
    predict_frames(predictor, outcome, folder, writer, batch_size, drawn, interval, described, **options)
    if track:
        write_tracks(folder / 'tracks.csv', outcome.progress.entries())
    write_coco(folder, outcome.progress.entries(), ids, detector.predicts_masks)
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


def write_coco(folder: Path, entries: Iterable[dict], ids: CocoIds, with_masks: bool) -> None:
    """Write COCO's result format, one entry at a time: ``predictions.json`` with boxes and masks; of masks also
    ``predictions.segm.json`` without boxes, as COCO's tools take the area of a result with a box from the box; and
    ``images.json``, the images and categories of the ids.

    Args:
        folder: Output folder.
        entries: A dict for each image or frame: ``input``, ``width``, ``height``, ``objects``, and for videos
            ``frame`` and ``time``.
        ids: Ids of images and categories.
        with_masks: Whether objects have masks.
    """
    categories = [dict(id=number, name=name) for name, number in ids.categories.items()]
    beginning = json.dumps(dict(categories=categories))[:-1] + ', "images": ['
    with ExitStack() as files:
        add_image = files.enter_context(_json_list(folder / 'images.json', beginning, ']}\n'))
        add_result = files.enter_context(_json_list(folder / 'predictions.json'))
        add_mask = files.enter_context(_json_list(folder / 'predictions.segm.json')) if with_masks else None
        for count, entry in enumerate(entries, start=1):
            objects, name = entry.pop('objects'), entry.pop('input')
            number = ids.image_id(name, count)
            add_image(dict(id=number, file_name=name, **entry))
            for found in objects:
                result = dict(image_id=number, category_id=ids.categories[found['category_name']], **found)
                add_result(result)
                if add_mask and 'segmentation' in result:
                    add_mask({key: value for key, value in result.items() if key != 'bbox'})


@contextmanager
def _json_list(path: Path, beginning: str = '[', end: str = ']\n') -> Iterator[Callable[[dict], None]]:
    """A function that adds an entry to the list in a new file."""
    with atomic_write(path) as unfinished, unfinished.open('w') as file:
        separator = beginning + '\n'

        def add(entry: dict) -> None:
            nonlocal separator
            file.write(separator + json.dumps(entry))
            separator = ',\n'

        yield add
        file.write((separator if separator != ',\n' else '') + end)
