"""Cameras and network streams, read frame by frame as they arrive."""

import contextlib
import time
from collections.abc import Iterator

from hiera_mm.errors import BrokenFileError

import cv2
import numpy as np

DEFAULT_RATE = 30.0
"""Frames a second, for cameras that don't report their rate."""


class Stream:
    """The frames of a camera or a stream, until it ends or the user interrupts (Ctrl-C).

    Args:
        source: Number of a camera, counted from 0, or an address that FFmpeg reads, such as ``rtsp://...``.

    Attributes:
        times: When each frame arrived, in seconds after the first.

    Raises:
        BrokenFileError: if it can't be opened.
    """

    def __init__(self, source: str) -> None:
        self.capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
        self.times: list[float] = []
        if not self.capture.isOpened():
            what = f'The camera {source}' if source.isdigit() else f"The stream '{source}'"
            raise BrokenFileError(
                f"{what} can't be opened; check that it is there, that you may use it, and that no other program does."
            )
        rate = self.capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate <= 240 else DEFAULT_RATE

    def __iter__(self) -> Iterator[np.ndarray]:
        """Frames as RGB arrays ``(H, W, 3)``."""
        with contextlib.suppress(KeyboardInterrupt):
            start = None
            while True:
                success, frame = self.capture.read()
                if not success:
                    break
                now = time.monotonic()
                start = now if start is None else start
                self.times.append(now - start)
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        self.capture.release()
