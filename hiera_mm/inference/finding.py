"""What a model finds in one file, which can be drawn again for another least score without computing anew."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, cast

from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.inference.action_detector import ActionDetector, PersonFinder, labels_at
from hiera_mm.inference.classifier import Classifier
from hiera_mm.inference.detector import Detector
from hiera_mm.inference.files import as_entry, kinds_taken, must_be_whole
from hiera_mm.inference.predictor import Predictor
from hiera_mm.inference.results import Classification, Detections, Segmentation
from hiera_mm.inference.segmenter import Segmenter
from hiera_mm.inference.visualization import draw_found, write_annotated
from hiera_mm.inference.volume_segmenter import VolumeSegmenter
from hiera_mm.program import command_line
from hiera_mm.readers.inputs import Kind, find_inputs
from hiera_mm.readers.videos import open_video
from hiera_mm.readers.write_video import write_video

import numpy as np
import pycocotools.mask
from PIL import Image


class Limits(NamedTuple):
    """What one file may ask of the machine.

    Attributes:
        pixels: Of a picture, or of a frame.
        seconds: Of a video.
    """

    pixels: int
    seconds: float


class Finding(Protocol):
    """What was found in a file."""

    def results(self) -> object:
        """All of it, as JSON takes it."""
        ...

    def write(self, path: Path, score_thr: float) -> Path | None:
        """Draw what has at least this score.

        Args:
            path: Of the file to write, without its ending.
            score_thr: 0 to 1.

        Returns:
            What was written, a ``.png`` or an ``.mp4``; None where there is nothing to draw.
        """
        ...


def look_into(predictor: Predictor, path: str, limits: Limits, persons: PersonFinder | None = None) -> Finding:
    """Find what there is in one file.

    Args:
        predictor: Of :func:`hiera_mm.inference.load`.
        path: Of a picture or a video, as the model takes it.
        limits: What is too large.
        persons: What finds persons for an action detector.

    Raises:
        UserError: if it is of another kind, can't be read, or is too large.
    """
    (entry,) = find_inputs([path], kinds_of_files(predictor))
    (_must_be_small if entry.kind is Kind.PICTURE else _must_be_short)(path, limits)
    if isinstance(predictor, Classifier):
        return Classes(predictor.predict(path))  # type: ignore[arg-type]
    if isinstance(predictor, ActionDetector):
        return Actions(path, predictor.predict(path, persons=persons, score_thr=0))
    of_frames = cast(Detector | Segmenter, predictor)
    return (_in_picture if entry.kind is Kind.PICTURE else _in_video)(of_frames, path)


def kinds_of_files(predictor: Predictor) -> list[Kind]:
    """Of those that a model takes.

    Raises:
        UserError: for a model of volumes.
    """
    if isinstance(predictor, VolumeSegmenter):
        raise UserError(
            f"'{predictor.trained.source}' segments volumes, which a page does not show; run {command_line('predict')} "
            'and look at the masks in a viewer of NIfTI files.'
        )
    return [kind for kind in kinds_taken(predictor) if kind in (Kind.PICTURE, Kind.VIDEO)]


@dataclass(frozen=True)
class InPicture:
    """Objects or regions."""

    picture: np.ndarray
    found: Detections | Segmentation

    def results(self) -> dict:
        return _described(self.found)

    def write(self, path: Path, score_thr: float) -> Path:
        path = path.with_suffix('.png')
        Image.fromarray(draw_found(self.picture, self.found, score_thr)).save(path)
        return path


@dataclass(frozen=True)
class InVideo:
    """Objects or regions of each frame."""

    video: str
    found: Sequence[Detections | Segmentation]

    def results(self) -> dict:
        times = open_video(self.video).times.round(6).tolist()
        return dict(
            frames=[dict(time=time, **_described(found)) for time, found in zip(times, self.found, strict=True)]
        )

    def write(self, path: Path, score_thr: float) -> Path:
        path, reader = path.with_suffix('.mp4'), open_video(self.video)
        frames = (draw_found(frame, found, score_thr) for frame, found in zip(reader, self.found, strict=True))
        write_video(path, frames, reader.rate, reader.times - reader.times[0])
        return path


def _described(found: Detections | Segmentation) -> dict:
    """As JSON takes it: objects, or for each class that is there its part of the picture and its mask as COCO's run
    lengths."""
    if isinstance(found, Detections):
        return as_entry(found)
    height, width = found.labels.shape
    regions = []
    for name, share in found.shares().items():
        if share:
            inside = found.labels == found.names.index(name)
            mask = pycocotools.mask.encode(np.asfortranarray(inside, np.uint8))
            regions.append(
                dict(category_name=name, share=round(share, 5), segmentation=dict(mask, counts=mask['counts'].decode()))
            )
    return dict(width=width, height=height, regions=regions)


@dataclass(frozen=True)
class Actions:
    """Of persons in a video; see :meth:`ActionDetector.predict`."""

    video: str
    result: dict

    def results(self) -> dict:
        return dict(self.result, video=Path(self.video).name)

    def write(self, path: Path, score_thr: float) -> Path:
        path = path.with_suffix('.mp4')
        write_annotated(path, open_video(self.video), labels_at(self._above(score_thr)))
        return path

    def _above(self, score_thr: float) -> dict:
        seconds = [
            dict(second, persons=[_with_actions(person, score_thr) for person in second['persons']])
            for second in self.result['predictions']
        ]
        return dict(self.result, predictions=seconds)


def _with_actions(person: dict, score_thr: float) -> dict:
    return dict(person, actions=[action for action in person['actions'] if action['score'] >= score_thr])


@dataclass(frozen=True)
class Classes:
    """Of a picture or a clip; nothing of them can be drawn."""

    found: Classification

    def results(self) -> dict:
        return dict(self.found.top(len(self.found.names)))

    def write(self, path: Path, score_thr: float) -> None:
        return None


def _in_picture(predictor: Detector | Segmenter, path: str) -> Finding:
    return InPicture(predictor.decoded(path), predictor.predict(path))  # type: ignore[arg-type]


def _in_video(predictor: Detector | Segmenter, path: str) -> Finding:
    reader = open_video(path)
    every = [found for _, found in predictor.stream(iter(reader)) if found is not None]
    must_be_whole(reader, len(every))
    return InVideo(path, every)


def _must_be_small(path: str, limits: Limits) -> None:
    try:
        with warnings.catch_warnings(action='ignore', category=Image.DecompressionBombWarning):
            picture = Image.open(path)
    except Image.DecompressionBombError as error:
        raise UserError(f"The picture '{path}' is too large ({error}).") from error
    except OSError as error:
        raise BrokenFileError(f"'{path}' is damaged or no picture; choose another file.") from error
    with picture:
        _must_be_within(path, picture.size, limits)


def _must_be_short(path: str, limits: Limits) -> None:
    reader = open_video(path)
    if reader.duration > limits.seconds:
        raise UserError(
            f"The video '{path}' takes {reader.duration:.1f} seconds, but {limits.seconds:g} are allowed here; cut it."
        )
    height, width = reader.frames([0])[0].shape[:2]
    _must_be_within(path, (width, height), limits)


def _must_be_within(path: str, size: tuple[int, int], limits: Limits) -> None:
    if size[0] * size[1] > limits.pixels:
        raise UserError(
            f"'{path}' has {size[0]} x {size[1]} pixels, but {limits.pixels / 1e6:g} million are allowed here; "
            'make it smaller.'
        )
