"""Segments many files: COCO's panoptic format and drawings."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError, examples
from hiera_mm.inference.prediction import Outcome, check_result_names, drawn_name, predict_frames, with_ending
from hiera_mm.readers.inputs import Input, Kind
from hiera_mm.readers.panoptic_files import read_panoptic
from hiera_mm.readers.segment_maps import write_segment_map
from hiera_mm.tasks.panoptic.results import PanopticSegmentation, draw_segments
from hiera_mm.tasks.panoptic.segmenter import PanopticSegmenter

import numpy as np

MAP_FOLDER, RESULTS = 'predictions', 'predictions.json'
"""Names of the folder of the segment maps and of the file that lists them, as panopticapi expects a pair."""


def segment_files(
    segmenter: PanopticSegmenter,
    inputs: Sequence[Input],
    folder: Path,
    batch_size: int = 1,
    drawn: bool = True,
    interval: int = 1,
    ann_file: str | None = None,
) -> Outcome:
    """Write the results in COCO's panoptic format, ``predictions.json`` and the segment maps ``predictions/NAME.png``
    (for videos ``predictions/NAME/FRAME.png``), and copies of images and videos with things and stuff drawn.

    Args:
        segmenter: The model.
        inputs: Images, videos and streams.
        folder: Output folder.
        batch_size: Number of images or frames that are computed together.
        drawn: Whether to draw.
        interval: Predict only every ``interval``-th frame of a video; the frames between show its segments.
        ann_file: A panoptic file whose ids of images and categories are used.

    Raises:
        UserError: if the annotation file does not fit, or the results of two inputs would have the same name.
    """
    check_result_names(inputs, _map_name, *([drawn_name] if drawn else []))
    ids = PanopticIds(segmenter, ann_file)
    for entry in inputs:
        ids.check(entry)
    settings = dict(model=segmenter.trained.version, classes=segmenter.names, interval=interval, drawn=drawn)
    outcome = Outcome(folder, dict(settings, ann_file=ann_file), inputs)

    def described(entry: Input) -> dict:
        return dict(img_path=entry.source, **ids.size_of(entry.name))

    writer = SegmentWriter(folder / MAP_FOLDER)
    predict_frames(segmenter, outcome, folder, writer, batch_size, drawn, interval, described)
    write_results(folder / RESULTS, outcome.progress.entries(), ids)
    outcome.close()
    return outcome


def _map_name(entry: Input) -> str:
    return f'{MAP_FOLDER}/{map_path(entry.name, None if entry.kind is Kind.IMAGE else 0).as_posix()}'


def map_path(name: str, frame: int | None) -> Path:
    """Where the map of an image, or of a frame of a video, is written below the folder of the maps."""
    return with_ending(Path(name), '.png') if frame is None else Path(name, f'{frame:06d}.png')


class SegmentWriter:
    """Writes the segment map of each image or frame into a folder and keeps its segments."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entry(self, found: PanopticSegmentation) -> dict:
        return found.to_json()

    def write(self, found: PanopticSegmentation, name: str, frame: int | None) -> None:
        write_segment_map(self.folder / map_path(name, frame), found.segment_map)

    def draw(self, frame: np.ndarray, found: PanopticSegmentation) -> np.ndarray:
        return draw_segments(frame, found)


class PanopticIds:
    """Ids of images and categories: those of an annotation file, or counted from 1.

    Args:
        segmenter: The model.
        ann_file: A file in COCO's panoptic format, with or without annotations.

    Raises:
        UserError: if the file lacks a class of the model, or can't be read.
    """

    def __init__(self, segmenter: PanopticSegmenter, ann_file: str | None = None) -> None:
        names, things = segmenter.names, segmenter.things
        self.ann_file, self.images = ann_file, None
        self.categories = [
            dict(id=number, name=name, isthing=int(number <= things)) for number, name in enumerate(names, start=1)
        ]
        if ann_file is not None:
            content = read_panoptic(ann_file, '--ann-file', without_annotations=True)
            labels = content.labels(names[:things], names[things:])
            self.images = {image['file_name']: image for image in content.images}
            for number, label in labels.items():
                self.categories[label]['id'] = number
        self.by_name = {category['name']: category['id'] for category in self.categories}

    def check(self, entry: Input) -> None:
        """Check that the annotation file, if given, has an input.

        Raises:
            UserError: if it does not.
        """
        if self.images is None:
            return
        if entry.kind is not Kind.IMAGE:
            raise UserError(
                f"'{entry.source}' is a video or stream, whose frames are not in '{self.ann_file}'; predict it without "
                '--ann-file.'
            )
        if entry.name not in self.images:
            raise UserError(
                f"The annotation file '{self.ann_file}' has no image '{entry.name}', but "
                f'{examples(list(self.images))}; give the folder to which its file names are relative.'
            )

    def image_id(self, name: str, count: int) -> Any:
        """Id of the ``count``-th image or frame."""
        return count if self.images is None else self.images[name]['id']

    def size_of(self, name: str) -> dict:
        """``width`` and ``height`` of an image in the annotation file, if given."""
        image = self.images[name] if self.images is not None else {}
        return {key: image[key] for key in ('width', 'height') if key in image}


def write_results(path: Path, entries: Iterable[dict], ids: PanopticIds) -> None:
    """Write COCO's panoptic format: images, an annotation for each, and the categories.

    Args:
        path: The file.
        entries: A dict for each image or frame: ``input``, ``width``, ``height``, ``segments_info``, and for videos
            ``frame`` and ``time``.
        ids: Ids of images and categories.
    """
    images, annotations = [], []
    for count, entry in enumerate(entries, start=1):
        segments, name = entry.pop('segments_info'), entry.pop('input')
        number = ids.image_id(name, count)
        images.append(dict(id=number, file_name=name, **entry))
        annotations.append(
            dict(
                image_id=number,
                file_name=map_path(name, entry.get('frame')).as_posix(),
                segments_info=[
                    {'id': s.pop('id'), 'category_id': ids.by_name[s.pop('category_name')], **s} for s in segments
                ],
            )
        )
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(dict(images=images, annotations=annotations, categories=ids.categories)))
