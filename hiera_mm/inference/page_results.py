"""The result for one file on the web page, which can be redrawn with another score threshold."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.inference.frame_predictor import FramePredictor
from hiera_mm.inference.prediction import check_all_frames
from hiera_mm.inference.trained import PageResult, Predictor
from hiera_mm.program import command_line
from hiera_mm.readers.images import open_image
from hiera_mm.readers.inputs import Kind, find_inputs
from hiera_mm.readers.videos import open_video
from hiera_mm.readers.write_video import write_video

import numpy as np
from PIL import Image, ImageOps

Draw = Callable[[np.ndarray, Any, float], np.ndarray]
"""``draw(frame, found, score_thr)`` draws predictions of at least a score on a frame, RGB ``(H, W, 3)``."""


PREVIEW_SIDE, MAX_PREVIEWED = 640, 50_000_000
"""Longest side of the copy of a visitor's image, and the most pixels of one that gets a copy."""


class Limits(NamedTuple):
    """Limits for an uploaded file.

    Attributes:
        pixels: Most pixels of an image or frame.
        seconds: Longest duration of a video.
    """

    pixels: int
    seconds: float

    def check(self, path: str, kind: Kind) -> None:
        """Refuse a file that is too large, judged by its header.

        Raises:
            UserError: if it is too large, or can't be read.
        """
        if kind is Kind.IMAGE:
            self._check_size(path, _size_of_image(path))
            return
        reader = open_video(path)
        if reader.duration > self.seconds:
            raise UserError(
                f"The video '{path}' takes {reader.duration:.1f} seconds, but {self.seconds:g} are allowed here; cut "
                'it.'
            )
        height, width = reader.frames([0])[0].shape[:2]
        self._check_size(path, (width, height))

    def _check_size(self, path: str, size: tuple[int, int]) -> None:
        if size[0] * size[1] > self.pixels:
            raise UserError(
                f"'{path}' has {size[0]} x {size[1]} pixels, but {self.pixels / 1e6:g} million are allowed here; make "
                'it smaller.'
            )


def result_for(predictor: Predictor, path: str, limits: Limits, persons: Any = None) -> PageResult:
    """Predict for one file.

    Args:
        predictor: A predictor from :func:`hiera_mm.load`.
        path: An image or a video, whichever the model takes.
        limits: Limits for the file.
        persons: Finds persons for an action detector.

    Raises:
        UserError: if the file is of another kind, can't be read, or is too large.
    """
    (entry,) = find_inputs([path], page_kinds(predictor))
    limits.check(path, entry.kind)
    return predictor.trained.task.page_result(predictor, path, entry.kind, persons)


def page_kinds(predictor: Predictor) -> list[Kind]:
    """The kinds of files that a page can show, of those that a model takes.

    Raises:
        UserError: if there are none.
    """
    if predictor.trained.channels is not None:
        raise UserError(
            f"'{predictor.trained.source}' takes images of other channels than red, green and blue, which a page can't "
            f'show; run {command_line("predict")} for them.'
        )
    kinds: list[Kind] = [kind for kind in predictor.kinds if kind in (Kind.IMAGE, Kind.VIDEO)]
    if not kinds:
        raise UserError(
            f"'{predictor.trained.source}' takes {predictor.kinds[0].value}, which a page can't show; run "
            f'{command_line("predict")} and open its results in a viewer for such files.'
        )
    return kinds


@dataclass(frozen=True)
class ImageResult:
    """The prediction for an image."""

    image: np.ndarray
    found: Any
    draw: Draw

    def results(self) -> dict:
        return self.found.to_json()

    def rows(self, score_thr: float) -> list[dict[str, Any]]:
        return self.found.rows(score_thr)

    def drawn(self, score_thr: float) -> np.ndarray:
        return self.draw(self.image, self.found, score_thr)

    def write(self, path: Path, score_thr: float) -> Path:
        path = path.with_suffix('.png')
        Image.fromarray(self.drawn(score_thr)).save(path)
        return path


@dataclass(frozen=True)
class VideoResult:
    """The prediction for each frame of a video."""

    video: str
    found: Sequence[Any]
    draw: Draw

    def results(self) -> dict:
        times = open_video(self.video).times.round(6).tolist()
        return dict(frames=[dict(time=time, **found.to_json()) for time, found in zip(times, self.found, strict=True)])

    def rows(self, score_thr: float) -> list[dict[str, Any]]:
        times = open_video(self.video).times.round(2).tolist()
        return [
            dict(second=time, **row)
            for time, found in zip(times, self.found, strict=True)
            for row in found.rows(score_thr)
        ]

    def write(self, path: Path, score_thr: float) -> Path:
        path, reader = path.with_suffix('.mp4'), open_video(self.video)
        frames = (self.draw(frame, found, score_thr) for frame, found in zip(reader, self.found, strict=True))
        write_video(path, frames, reader.rate, reader.times - reader.times[0])
        return path


def frame_result(predictor: FramePredictor, path: str, kind: Kind, draw: Draw) -> PageResult:
    """The prediction for an image or a video by a model of images."""
    if kind is Kind.IMAGE:
        return ImageResult(predictor.shown(path), predictor.predict(path), draw)
    reader = open_video(path)
    every = [found for _, found in predictor.stream(iter(reader)) if found is not None]
    check_all_frames(reader, len(every))
    return VideoResult(path, every, draw)


def small_copy(path: str) -> np.ndarray | None:
    """An upright copy of an image for a look at it, RGB; None for other files, and for those that can't be read."""
    try:
        with (
            warnings.catch_warnings(action='error', category=Image.DecompressionBombWarning),
            open_image(path) as image,
        ):
            if image.width * image.height > MAX_PREVIEWED:
                return None
            image.draft('RGB', (PREVIEW_SIDE, PREVIEW_SIDE))
            image.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
            return np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
    except (OSError, SyntaxError, ValueError, UserError, Image.DecompressionBombError, Image.DecompressionBombWarning):
        return None


def _size_of_image(path: str) -> tuple[int, int]:
    try:
        with (
            warnings.catch_warnings(action='ignore', category=Image.DecompressionBombWarning),
            open_image(path) as image,
        ):
            return image.size
    except Image.DecompressionBombError as error:
        raise UserError(f"The image '{path}' is too large ({error}).") from error
    except OSError as error:
        raise BrokenFileError(f"'{path}' is damaged or not an image; choose another file.") from error
