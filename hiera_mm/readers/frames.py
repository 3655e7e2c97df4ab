"""The interface of frame readers, and which of their frames belong to which time."""

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

Shrink = Callable[[np.ndarray], np.ndarray]
"""A function that makes a frame ``(H, W, 3)`` smaller."""

MILLISECOND = 1e-3
"""Tolerance of times, in seconds: Matroska rounds to milliseconds."""


class FrameReader(Protocol):
    """Reads frames of a video file or of a folder of frames."""

    @property
    def path(self) -> str | Path:
        """The file or folder."""

    @property
    def rate(self) -> float:
        """Frames a second, on average."""

    @property
    def times(self) -> np.ndarray:
        """When each frame appears, in seconds from the start ``(N,)``; never decreasing."""

    @property
    def duration(self) -> float:
        """Length in seconds, to the end of the last frame."""

    def __len__(self) -> int:
        """The number of frames."""

    def frames(self, indices: Sequence[int], shrink: Shrink | None = None) -> list[np.ndarray]:
        """Read frames as RGB arrays ``(H, W, 3)``.

        Args:
            indices: Indices of the frames, in any order; repetitions are allowed.
            shrink: Applied to each frame as it is decoded, so that only one frame is held at full size.

        Raises:
            BrokenFileError: if a frame can't be decoded.
        """


def frames_at(reader: FrameReader, seconds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Indices of the frames on screen at these seconds; outside the video, the first or last frame."""
    shown = np.searchsorted(reader.times, np.asarray(seconds, float) + MILLISECOND, side='right') - 1
    return np.clip(shown, 0, len(reader) - 1)


def frames_at_steps(reader: FrameReader, steps: Sequence[int] | np.ndarray, fps: float) -> np.ndarray:
    """Indices of the frames that ``ffmpeg -r FPS`` extracts at these steps, counted from 0.

    FFmpeg assigns each frame to the nearest step, takes the last of several at one step, and repeats the previous frame
    at a step without one. For a video with a constant rate of ``fps`` the indices are the steps themselves.
    """
    middles = (np.asarray(steps) + 0.5) / fps - MILLISECOND / 2
    shown = np.searchsorted(reader.times, middles, side='left') - 1
    return np.clip(shown, 0, len(reader) - 1)


def count_steps(reader: FrameReader, fps: float) -> int:
    """How many frames ``ffmpeg -r FPS`` extracts, at least 1."""
    return max(1, round(reader.duration * fps))


class Part:
    """The frames of a video between two times as a reader of its own, which counts from 0.

    Args:
        reader: The whole video.
        start, end: Seconds from its start.
    """

    def __init__(self, reader: FrameReader, start: float, end: float) -> None:
        self.whole, self.path, self.rate = reader, reader.path, reader.rate
        self.first, self.last = frames_at(reader, [start, end - 2 * MILLISECOND])
        self.times = reader.times[self.first : self.last + 1] - start
        self.duration = end - start

    def __len__(self) -> int:
        return len(self.times)

    def frames(self, indices: Sequence[int], shrink: Shrink | None = None) -> list[np.ndarray]:
        """As :meth:`FrameReader.frames`."""
        return self.whole.frames([self.first + index for index in indices], shrink)


def parts_of(reader: FrameReader, length: float, stride: float) -> Iterator[tuple[float, float]]:
    """Start and end of windows along a video, in seconds: every ``stride`` one of ``length``, until the video ends."""
    count = max(1, math.ceil((reader.duration - length) / stride - MILLISECOND) + 1)
    for number in range(count):
        yield number * stride, min(number * stride + length, reader.duration)
