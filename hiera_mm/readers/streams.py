"""Cameras and network streams, frame by frame as they come."""

import contextlib
import time
from collections.abc import Iterator

from hiera_mm.errors import BrokenFileError

import cv2
import numpy as np

USUAL_RATE = 30.0
"""Frames a second, of cameras that don't tell theirs."""


class Stream:
    """A camera or a stream; ends with it, or when the user interrupts (Ctrl-C).

    Args:
        source: Number of a camera, counted from 0, or an address that FFmpeg reads, such as ``rtsp://...``.

    Attributes:
        times: Seconds from the first frame at which those that were read came in.

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
        self.rate = rate if 0 < rate <= 240 else USUAL_RATE

    def __iter__(self) -> Iterator[np.ndarray]:
        """RGB ``(H, W, 3)``."""
        with contextlib.suppress(KeyboardInterrupt):
            begin = None
            while True:
                whole, frame = self.capture.read()
                if not whole:
                    break
                now = time.monotonic()
                begin = now if begin is None else begin
                self.times.append(now - begin)
                yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        self.capture.release()
