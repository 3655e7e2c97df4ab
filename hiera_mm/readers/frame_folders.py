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


class FrameFolder:
    """As a reader of :func:`hiera_mm.readers.videos.open_video`, but for pictures in a folder, as mmaction2's.

    Args:
        path: Folder of one video's frames.
        filename_tmpl: Such as ``'img_{:05}.jpg'``, or ``'{video_id}_{:06}.jpg'`` where the folder's name is in it.
        start_index: Number of the first frame in the file names.
        rate: Frames a second they were extracted at.

    Raises:
        BrokenFileError: if there is no such folder, or no picture in it.
        UserError: for an invalid ``filename_tmpl``.
    """

    def __init__(self, path: str | Path, filename_tmpl: str, start_index: int, rate: float) -> None:
        self.path, self.filename_tmpl, self.start_index, self.rate = Path(path), filename_tmpl, start_index, rate
        try:
            self.file(0)
        except (IndexError, KeyError, ValueError) as error:
            raise UserError(
                f"filename_tmpl='{filename_tmpl}' is no name of frames; it needs one place for their number, such as "
                "'img_{:05}.jpg', and may have the folder's name, such as '{video_id}_{:06}.jpg'."
            ) from error
        if not self.path.is_dir():
            raise BrokenFileError(f"The frame folder '{path}' does not exist; extract the frames or set data_prefix.")
        self.length = _count(str(path), os.path.splitext(filename_tmpl)[1], self.path.stat().st_mtime_ns)
        self.times, self.duration = np.arange(self.length) / rate, self.length / rate
        if self.length == 0:
            raise BrokenFileError(
                f"The folder '{path}' holds no frames named as filename_tmpl='{filename_tmpl}'; extract them or "
                f'correct filename_tmpl.'
            )

    def __len__(self) -> int:
        return self.length

    def file(self, index: int) -> Path:
        """The picture of the frame ``index``, counted from 0."""
        return self.path / self.filename_tmpl.format(index + self.start_index, video_id=self.path.name)

    def frames(self, indices: Sequence[int], shrink: Shrink | None = None) -> list[np.ndarray]:
        """RGB arrays ``(H, W, 3)`` of their own, see :class:`~hiera_mm.readers.frames.FrameReader`."""
        pictures = {}
        for index in {int(index) for index in indices}:
            picture = self._read(index)
            pictures[index] = picture if shrink is None else shrink(picture)
        return [pictures[int(index)].copy() for index in indices]

    def _read(self, index: int) -> np.ndarray:
        path = self.file(index)
        if not path.is_file():
            raise BrokenFileError(
                f"The frame '{path}' is missing, though the folder holds {self.length} frames; extract them again, or "
                f'correct start_index ({self.start_index}) or filename_tmpl.'
            )
        picture = cv2.imread(str(path))
        if picture is None:
            raise BrokenFileError(f"The frame '{path}' can't be decoded; extract it again.")
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def naming_of(folder: str | Path) -> tuple[str, int]:
    """``filename_tmpl`` and ``start_index`` of a folder of frames, from their names.

    Raises:
        BrokenFileError: for pictures that are not numbered in one way, or with numbers missing.
    """
    names = sorted(entry.name for entry in os.scandir(folder) if not is_hidden(entry.name) and entry.is_file())
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
def _count(folder: str, ending: str, changed: int) -> int:
    # Again only when it has changed: a folder of 15 minutes holds 27,000 entries.
    return sum(entry.name.endswith(ending) for entry in os.scandir(folder))
