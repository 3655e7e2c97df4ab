"""What every reader of frames offers, and which of its frames belong to which moment."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

Shrink = Callable[[np.ndarray], np.ndarray]
"""From a frame ``(H, W, 3)`` to a smaller one."""

MILLISECOND = 1e-3
"""What a time may be off: Matroska rounds to it."""


class FrameReader(Protocol):
    """Frames of a video file, or of a folder that stands for one."""

    @property
    def path(self) -> str | Path:
        """Of the file or folder."""

    @property
    def rate(self) -> float:
        """Frames a second, on average."""

    @property
    def times(self) -> np.ndarray:
        """Seconds ``(N,)`` from the beginning at which the frames appear; they never decrease."""

    @property
    def duration(self) -> float:
        """Seconds until the last frame is gone."""

    def __len__(self) -> int:
        """The number of frames."""

    def frames(self, indices: Sequence[int], shrink: Shrink | None = None) -> list[np.ndarray]:
        """RGB arrays ``(H, W, 3)``; raises ``BrokenFileError`` where they can't be decoded.

        Args:
            indices: Places of the frames, in any order, also several times.
            shrink: Done with each frame when it comes out of the decoder, so that no more than one is held as it was.
        """


def frames_at(reader: FrameReader, seconds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Places of the frames that are on the screen at these seconds; outside the video, its first and last."""
    shown = np.searchsorted(reader.times, np.asarray(seconds, float) + MILLISECOND, side='right') - 1
    return np.clip(shown, 0, len(reader) - 1)


def frames_at_steps(reader: FrameReader, steps: Sequence[int] | np.ndarray, fps: float) -> np.ndarray:
    """Places of the frames that ``ffmpeg -r FPS`` extracts as number ``steps``, counted from 0.

    It puts each frame at the nearest step, of several at one step takes the last, and repeats the one before where
    there is none. For a video with a constant rate of ``fps`` they are the steps themselves.
    """
    middles = (np.asarray(steps) + 0.5) / fps - MILLISECOND / 2
    shown = np.searchsorted(reader.times, middles, side='left') - 1
    return np.clip(shown, 0, len(reader) - 1)


def count_steps(reader: FrameReader, fps: float) -> int:
    """How many frames ``ffmpeg -r FPS`` extracts, 1 at least."""
    return max(1, round(reader.duration * fps))
