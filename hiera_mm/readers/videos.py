"""Video files: exactly the frames that a player shows."""

import gc
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from hiera_mm.errors import BrokenFileError
from hiera_mm.readers.frames import Shrink
from hiera_mm.readers.video_index import (
    DECODER_FAULTS,
    broken,
    errors_named,
    index_by_decoding,
    index_of,
    opened,
)

import av
import numpy as np
from av.container import InputContainer

VIDEO_ENDINGS = (
    '.mp4',
    '.m4v',
    '.mov',
    '.mkv',
    '.webm',
    '.avi',
    '.mpg',
    '.mpeg',
    '.ts',
    '.mts',
    '.wmv',
    '.flv',
    '.3gp',
)
"""Of the files that are taken for videos, in lower case."""

SEEKS_TRIED = 3
"""Key frames from which decoding is tried, before it starts at the beginning of the video."""


def open_video(path: str | Path) -> 'VideoFile':
    """A reader of a video file.

    Raises:
        BrokenFileError: if there is no video at ``path``.
    """
    return VideoFile(path)


class VideoFile:
    """Frames of a video file by their place in the presentation: frame ``i`` is the one a player shows as its i-th.

    The file is open only while it is read. Rotation and mirroring that it asks of players are applied; a cover picture
    is not taken for the video.

    Args:
        path: Of anything that FFmpeg decodes.

    Raises:
        BrokenFileError: if it is missing, a part of it is, or it holds no video stream.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        if not os.path.isfile(self.path):
            raise BrokenFileError(f"The video '{path}' does not exist; correct the path, data_prefix or the list.")
        file = os.stat(self.path)
        self.version = file.st_mtime_ns, file.st_size
        self.index = index_of(self.path, self.version)
        self.placing: _Placing | None = None

    @property
    def times(self) -> np.ndarray:
        """Seconds ``(N,)`` from the beginning at which the frames appear."""
        return self.index.times

    @property
    def duration(self) -> float:
        """Seconds until the last frame is gone."""
        return self.index.duration

    @property
    def rate(self) -> float:
        """Frames a second, on average."""
        return self.index.rate

    def __len__(self) -> int:
        return len(self.index.stamps)

    def __iter__(self) -> Iterator[np.ndarray]:
        """All frames in order, as RGB ``(H, W, 3)``, no more than a few of them in memory at once."""
        with errors_named(self.path), opened(self.path) as (container, stream):
            for packet in container.demux(stream):
                yield from map(self._picture, _decoded(packet))

    def frames(self, indices: Sequence[int], shrink: Shrink | None = None) -> list[np.ndarray]:
        """The frames at these places, in any order and also several times, as RGB arrays ``(H, W, 3)`` of their own.

        Args:
            indices: The places.
            shrink: Done with each frame when it comes out of the decoder, so that no more than one is held as it was.

        Raises:
            BrokenFileError: if one can't be decoded, or the video has fewer.
        """
        if max(indices) >= len(self):
            raise broken(self.path, f'it has {len(self)} frames, so no frame {max(indices)}')
        stamps = self.index.stamps[np.asarray(indices, int)].tolist()
        try:
            with errors_named(self.path):
                pictures = self._read(sorted(set(stamps)), shrink or _as_it_is)
        except _OtherFrames:
            # Seldom do packets promise other frames than come out of them; then only decoding tells.
            self.index = index_by_decoding(self.path, self.version)
            return self.frames(indices, shrink)
        finally:
            # PyAV's objects refer to each other, and hold a decoder's frames until they are collected: a millisecond.
            gc.collect(1)
        # Copies, as transforms that work in place would change a repeated frame twice.
        uses = Counter(stamps)
        return [pictures[stamp].copy() if uses[stamp] > 1 else pictures[stamp] for stamp in stamps]

    def _read(self, wanted: list[int], shrink: Shrink) -> dict[int, np.ndarray]:
        pictures: dict[int, np.ndarray] = {}
        with opened(self.path) as (container, stream):
            for stretch in self._stretches(wanted):
                pictures |= self._seek_and_decode(container, stream, stretch, shrink)
        return pictures

    def _stretches(self, wanted: list[int]) -> Iterator[list[int]]:
        """Apart where a whole group of pictures lies between, so that seeking is faster than to decode on."""
        groups = np.searchsorted(self.index.keys, wanted, side='right')
        ends = [*(np.flatnonzero(np.diff(groups) > 1) + 1).tolist(), len(wanted)]
        yield from (wanted[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True))

    def _seek_and_decode(
        self, container: InputContainer, stream: av.VideoStream, wanted: list[int], shrink: Shrink
    ) -> dict[int, np.ndarray]:
        keys = self.index.keys[self.index.keys <= wanted[0]]
        # Some formats land behind what was asked for, and not everything that is marked as a key frame is one.
        for key in keys[::-1][:SEEKS_TRIED]:
            pictures = self._decode(_packets_from(container, stream, int(key), wanted[0]), wanted, shrink)
            if len(pictures) == len(wanted):
                return pictures
        with opened(self.path) as (container, stream):
            pictures = self._decode(container.demux(stream), wanted, shrink, damaged_too=True)
        if len(pictures) == len(wanted):
            return pictures
        if not self.index.decoded:
            raise _OtherFrames
        raise broken(self.path, f'{len(wanted) - len(pictures)} of {len(wanted)} frames can not be decoded')

    def _decode(
        self, packets: Iterator[av.Packet], wanted: list[int], shrink: Shrink, damaged_too: bool = False
    ) -> dict[int, np.ndarray]:
        """The wanted frames by stamp, as far as they come out."""
        pictures: dict[int, np.ndarray] = {}
        missing, place = set(wanted), 0
        before: int | None = None
        for packet in packets:
            if not self.index.counted:
                _pass_over_unless_needed(packet, missing)
            for frame in _decoded(packet):
                stamp = place if self.index.counted else frame.pts
                if not self.index.decoded and not self.index.allows(before, stamp):
                    raise _OtherFrames
                place, before = place + 1, stamp
                if stamp in missing:
                    if frame.is_corrupt and not damaged_too:
                        return {}
                    missing.discard(stamp)
                    pictures[stamp] = shrink(self._picture(frame))
            if not missing:
                break
        return pictures

    def _picture(self, frame: av.VideoFrame) -> np.ndarray:
        """RGB ``(H, W, 3)``, placed as the file asks of players."""
        # Of the first frame alone: a frame that was asked for this is kept until its garbage is collected.
        self.placing = self.placing or _placing_of(frame)
        return self.placing.applied(frame.to_ndarray(format='rgb24'))


class _OtherFrames(Exception):
    """Other frames come out than the index promises, or in another order."""


def _packets_from(container: InputContainer, stream: av.VideoStream, key: int, first: int) -> Iterator[av.Packet]:
    """The packets from a key frame on; none if it is shown after ``first``."""
    container.seek(key, stream=stream)
    begun = False
    for packet in container.demux(stream):
        if not begun and packet.size:
            if not packet.is_keyframe:
                continue
            if packet.pts is None or packet.pts > first:
                return
            begun = True
        yield packet


def _pass_over_unless_needed(packet: av.Packet, wanted: set[int]) -> None:
    """Let the decoder drop a frame that nobody asked for and no other is made from, as H.264 marks them."""
    context = packet.stream.codec_context
    if context.name == 'h264':
        context.skip_frame = 'DEFAULT' if packet.pts is None or packet.pts in wanted else 'NONREF'


def _as_it_is(picture: np.ndarray) -> np.ndarray:
    return picture


def _decoded(packet: av.Packet) -> list[av.VideoFrame]:
    try:
        return packet.decode()
    except DECODER_FAULTS:
        # Such as a frame made from others that lie before the key frame. What is missing in the end is told.
        return []


class _Placing(NamedTuple):
    """How a player turns and mirrors the frames of a video: quarter turns and mirrors are transposing and reversing."""

    transposed: bool
    down: int
    right: int

    def applied(self, picture: np.ndarray) -> np.ndarray:
        picture = picture.transpose(1, 0, 2) if self.transposed else picture
        return np.ascontiguousarray(picture[:: self.down, :: self.right])


def _placing_of(frame: av.VideoFrame) -> _Placing:
    matrix = frame.side_data.get('DISPLAYMATRIX')
    if matrix is None:
        return _Placing(False, 1, 1)
    (a, b, _), (c, d, _), _ = np.frombuffer(cast(bytes, matrix), np.int32).reshape(3, 3).tolist()
    transposed = a == d == 0 and bool(b) and bool(c)
    down, right = (b, c) if transposed else (d, a)
    return _Placing(transposed, -1 if down < 0 else 1, -1 if right < 0 else 1)
