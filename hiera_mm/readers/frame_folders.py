"""Folders of extracted frames, read like videos."""

import functools
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.readers.frames import Shrink
from hiera_mm.readers.text import is_hidden

import cv2
import numpy as np

FLOW = ('flow_x', 'flow_y')
"""Beginnings of the names of optical flow, which mmaction2's layout keeps beside the frames."""


class FrameFolder:
    """A reader like :class:`hiera_mm.readers.videos.VideoFile`, for frames in a folder (mmaction2's layout).

    Args:
        path: Folder of one video's frames.
        filename_tmpl: Such as ``'img_{:05}.jpg'``, or ``'{video_id}_{:06}.jpg'`` if names contain the folder's name.
        start_index: Number of the first frame in the file names.
        rate: Frames a second at which they were extracted.

    Raises:
        BrokenFileError: if the folder does not exist or holds no frames.
        UserError: for an invalid ``filename_tmpl``.
    """

    def __init__(self, path: str | Path, filename_tmpl: str, start_index: int, rate: float) -> None:
        self.path, self.filename_tmpl, self.start_index, self.rate = Path(path), filename_tmpl, start_index, rate
        try:
            self.file(0)
        except (IndexError, KeyError, ValueError) as error:
            raise UserError(
                f"filename_tmpl='{filename_tmpl}' is not a template for names of frames; it needs one place for the "
                "number, such as 'img_{:05}.jpg', and may have the folder's name, such as '{video_id}_{:06}.jpg'."
            ) from error
        if not self.path.is_dir():
            raise BrokenFileError(f"The frame folder '{path}' does not exist; extract the frames or set data_prefix.")
        self.length = _count(str(path), filename_tmpl, self.path.name, self.path.stat().st_mtime_ns)
        self.times, self.duration = np.arange(self.length) / rate, self.length / rate
        if self.length == 0:
            raise BrokenFileError(
                f"The folder '{path}' holds no frames named like filename_tmpl='{filename_tmpl}'; extract them or "
                'correct filename_tmpl.'
            )

    def __len__(self) -> int:
        return self.length

    def file(self, index: int) -> Path:
        """The image file of the frame ``index``, counted from 0."""
        return self.path / self.filename_tmpl.format(index + self.start_index, video_id=self.path.name)

    def frames(self, indices: Sequence[int], shrink: Shrink | None = None) -> list[np.ndarray]:
        """Separate RGB arrays ``(H, W, 3)``, see :class:`~hiera_mm.readers.frames.FrameReader`."""
        read = {}
        for index in {int(index) for index in indices}:
            frame = self._read(index)
            read[index] = frame if shrink is None else shrink(frame)
        return [read[int(index)].copy() for index in indices]

    def _read(self, index: int) -> np.ndarray:
        path = self.file(index)
        if not path.is_file():
            raise BrokenFileError(
                f"The frame '{path}' is missing, though the folder holds {self.length} frames; extract them again, or "
                f'correct start_index ({self.start_index}) or filename_tmpl.'
            )
        frame = cv2.imread(str(path))
        if frame is None:
            raise BrokenFileError(f"The frame '{path}' can't be decoded; extract it again.")
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def infer_frame_naming(folder: str | Path) -> tuple[str, int]:
    """Infer ``filename_tmpl`` and ``start_index`` of a folder of frames from the file names.

    Raises:
        BrokenFileError: if the files are not numbered in one consistent way, without gaps.
    """
    names = sorted(
        entry.name
        for entry in os.scandir(folder)
        if not is_hidden(entry.name) and entry.is_file() and not entry.name.startswith(FLOW)
    )
    parts = [re.fullmatch(r'(.*?)(\d+)(\.\w+)', name) for name in names]
    numbers = sorted(int(part[2]) for part in parts if part)
    around = {(part[1], part[3]) for part in parts if part}
    if None in parts or len(around) != 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise BrokenFileError(
            f"The files in '{folder}' are not the frames of one video, numbered without a gap, such as img_00001.jpg; "
            'rename them, or take the others out.'
        )
    (before, after), first = around.pop(), next(part[2] for part in parts if part and int(part[2]) == numbers[0])
    template = f'{_literal(before)}{{:0{len(first)}}}{_literal(after)}'
    return template, numbers[0]


def _literal(text: str) -> str:
    return text.replace('{', '{{').replace('}', '}}')


@functools.cache
def _count(folder: str, template: str, video: str, changed: int) -> int:
    """How many files have names of the template; others, such as optical flow, may lie beside them."""
    # Cached until the folder changes: the frames of 15 minutes are 27,000 entries.
    return sum(_is_numbered(entry.name, template, video) for entry in os.scandir(folder))


def _is_numbered(name: str, template: str, video: str) -> bool:
    return any(template.format(int(number), video_id=video) == name for number in re.findall(r'\d+', name))
