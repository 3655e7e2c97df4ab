"""Video files, read frame by frame exactly as a player shows them."""

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
    errors_with_path,
    index_by_decoding,
    index_by_packets,
    open_stream,
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
"""Endings of video files, in lower case."""

MAX_SEEKS = 3
"""How many key frames to try to decode from, before starting at the beginning of the video."""


def open_video(path: str | Path) -> 'VideoFile':
    """A reader of a video file.

    Raises:
        BrokenFileError: if there is no video at ``path``.
    """
    return VideoFile(path)


class VideoFile:
    """Frames of a video file in presentation order: frame ``i`` is the i-th that a player shows.

    The file is open only while it is read. Rotation and mirroring in its metadata are applied; a cover image is not
    taken for the video.

    Args:
        path: A file that FFmpeg can decode.

    Raises:
        BrokenFileError: if the file is missing, incomplete, or holds no video stream.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        if not os.path.isfile(self.path):
            raise BrokenFileError(f"The video '{path}' does not exist; correct the path, data_prefix or the list.")
        file = os.stat(self.path)
        self.version = file.st_mtime_ns, file.st_size
        self.index = index_by_packets(self.path, self.version)
        self.orientation: _Orientation | None = None

    @property
    def times(self) -> np.ndarray:
        """When each frame appears, in seconds from the start ``(N,)``."""
        return self.index.times

    @property
    def duration(self) -> float:
        """Length in seconds, to the end of the last frame."""
        return self.index.duration

    @property
    def rate(self) -> float:
        """Frames a second, on average."""
        return self.index.rate

    def __len__(self) -> int:
        return len(self.index.stamps)

    def __iter__(self) -> Iterator[np.ndarray]:
        """All frames in order, as RGB ``(H, W, 3)``, with only a few in memory at once."""
        with errors_with_path(self.path), open_stream(self.path) as (container, stream):
            for packet in container.demux(stream):
                yield from map(self._to_rgb, _decode_packet(packet))

    def frames(self, indices: Sequence[int], shrink: Shrink | None = None) -> list[np.ndarray]:
        """Read frames as separate RGB arrays ``(H, W, 3)``.

        Args:
            indices: Indices of the frames, in any order; repetitions are allowed.
            shrink: Applied to each frame as it is decoded, so that only one frame is held at full size.

        Raises:
            BrokenFileError: if a frame can't be decoded, or the video has fewer frames.
        """
        if max(indices) >= len(self):
            raise broken(self.path, f'it has {len(self)} frames, so no frame {max(indices)}')
        stamps = self.index.stamps[np.asarray(indices, int)].tolist()
        try:
            with errors_with_path(self.path):
                images = self._read(sorted(set(stamps)), shrink or _unchanged)
        except _IndexMismatch:
            # In rare files the packets announce other frames than the decoder gives; then only decoding can tell.
            self.index = index_by_decoding(self.path, self.version)
            return self.frames(indices, shrink)
        finally:
            # PyAV's objects form reference cycles that keep a decoder's frames alive until they are collected (1 ms).
            gc.collect(1)
        # Copies, because transforms that work in place would change a repeated frame twice.
        uses = Counter(stamps)
        return [images[stamp].copy() if uses[stamp] > 1 else images[stamp] for stamp in stamps]

    def _read(self, wanted: list[int], shrink: Shrink) -> dict[int, np.ndarray]:
        images: dict[int, np.ndarray] = {}
        with open_stream(self.path) as (container, stream):
            for chunk in self._split_at_seeks(wanted):
                images |= self._seek_and_decode(container, stream, chunk, shrink)
        return images

    def _split_at_seeks(self, wanted: list[int]) -> Iterator[list[int]]:
        """Split the wanted frames where a whole group of pictures lies between two, so that seeking is faster than
        decoding on."""
        groups = np.searchsorted(self.index.keys, wanted, side='right')
        ends = [*(np.flatnonzero(np.diff(groups) > 1) + 1).tolist(), len(wanted)]
        yield from (wanted[begin:end] for begin, end in zip([0, *ends[:-1]], ends, strict=True))

    def _seek_and_decode(
        self, container: InputContainer, stream: av.VideoStream, wanted: list[int], shrink: Shrink
    ) -> dict[int, np.ndarray]:
        keys = self.index.keys[self.index.keys <= wanted[0]]
        # Some formats seek too far, and not every frame marked as a key frame is one.
        for key in keys[::-1][:MAX_SEEKS]:
            images = self._decode(_packets_from(container, stream, int(key), wanted[0]), wanted, shrink)
            if len(images) == len(wanted):
                return images
        with open_stream(self.path) as (container, stream):
            images = self._decode(container.demux(stream), wanted, shrink, damaged_too=True)
        if len(images) == len(wanted):
            return images
        if not self.index.decoded:
            raise _IndexMismatch
        raise broken(self.path, f'{len(wanted) - len(images)} of {len(wanted)} frames can not be decoded')

    def _decode(
        self, packets: Iterator[av.Packet], wanted: list[int], shrink: Shrink, damaged_too: bool = False
    ) -> dict[int, np.ndarray]:
        """Those of the wanted frames that can be decoded, by stamp."""
        images: dict[int, np.ndarray] = {}
        missing, place = set(wanted), 0
        before: int | None = None
        for packet in packets:
            if not self.index.counted:
                _skip_unneeded_frame(packet, missing)
            for frame in _decode_packet(packet):
                stamp = place if self.index.counted else frame.pts
                if not self.index.decoded and not self.index.allows(before, stamp):
                    raise _IndexMismatch
                place, before = place + 1, stamp
                if stamp in missing:
                    if frame.is_corrupt and not damaged_too:
                        return {}
                    missing.discard(stamp)
                    images[stamp] = shrink(self._to_rgb(frame))
            if not missing:
                break
        return images

    def _to_rgb(self, frame: av.VideoFrame) -> np.ndarray:
        """RGB ``(H, W, 3)``, rotated and mirrored as the file's metadata asks."""
        # Read from the first frame only: reading it keeps a frame in memory until the next garbage collection.
        self.orientation = self.orientation or _read_orientation(frame)
        return self.orientation.applied(frame.to_ndarray(format='rgb24'))


class _IndexMismatch(Exception):
    """The decoder gives other frames than the index says, or in another order."""


def _packets_from(container: InputContainer, stream: av.VideoStream, key: int, first: int) -> Iterator[av.Packet]:
    """The packets from a key frame on; empty if it is shown after ``first``."""
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


def _skip_unneeded_frame(packet: av.Packet, wanted: set[int]) -> None:
    """Let the decoder skip an unwanted frame that no other frame refers to (H.264 marks these)."""
    context = packet.stream.codec_context
    if context.name == 'h264':
        context.skip_frame = 'DEFAULT' if packet.pts is None or packet.pts in wanted else 'NONREF'


def _unchanged(image: np.ndarray) -> np.ndarray:
    return image


def _decode_packet(packet: av.Packet) -> list[av.VideoFrame]:
    try:
        return packet.decode()
    except DECODER_FAULTS:
        # For example a frame that refers to others before the key frame. Frames still missing at the end are reported.
        return []


class _Orientation(NamedTuple):
    """How to rotate and mirror the frames of a video: transpose, then reverse the axes with step -1."""

    transposed: bool
    down: int
    right: int

    def applied(self, image: np.ndarray) -> np.ndarray:
        image = image.transpose(1, 0, 2) if self.transposed else image
        return np.ascontiguousarray(image[:: self.down, :: self.right])


def _read_orientation(frame: av.VideoFrame) -> _Orientation:
    matrix = frame.side_data.get('DISPLAYMATRIX')
    if matrix is None:
        return _Orientation(False, 1, 1)
    (a, b, _), (c, d, _), _ = np.frombuffer(cast(bytes, matrix), np.int32).reshape(3, 3).tolist()
    transposed = a == d == 0 and bool(b) and bool(c)
    down, right = (b, c) if transposed else (d, a)
    return _Orientation(transposed, -1 if down < 0 else 1, -1 if right < 0 else 1)
