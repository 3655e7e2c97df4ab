"""The interface of frame readers, and which of their frames belong to which time."""

from collections.abc import Callable, Sequence
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
