"""Which frames a video file has and when each is shown, from its packets or, if these are unreliable, by decoding."""

import contextlib
import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from hiera_mm.errors import BrokenFileError

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition

DECODER_FAULTS = (av.FFmpegError, EOFError, IndexError, ValueError)
"""What PyAV raises for files that are damaged or not videos."""

CACHED_VIDEOS = 512
"""How many videos' indices a process caches; 16 bytes a frame, 0.4 MB for 15 minutes."""

PLAYLIST_FORMATS = {'concat', 'concatf', 'dash', 'hls', 'imf', 'lavfi', 'rtp', 'rtsp', 'sdp', 'webm_dash_manifest'}
"""Formats whose files refer to other files or addresses, which FFmpeg would open: any file of this machine, and
addresses in its private network."""

OPEN_OPTIONS = dict(
    # Old formats (AVI) have no presentation times; FFmpeg derives them by looking ahead.
    fflags='genpts',
    format_whitelist=','.join(sorted(av.formats_available - PLAYLIST_FORMATS)),
)

DEFAULT_RATE = 25.0
"""Frames a second that FFmpeg assumes for formats without times."""


class Index(NamedTuple):
    """A video's frames, in presentation order."""

    stamps: np.ndarray
    """Time stamps ``(N,)`` in the stream's unit; frame indices if the file has no usable stamps."""
    keys: np.ndarray
    """Stamps of the frames at which decoding can start, except the video's first frame, which needs no seek."""
    times: np.ndarray
    """Seconds from the start ``(N,)``."""
    duration: float
    """Length in seconds, to the end of the last frame."""
    rate: float
    """Frames a second, on average."""
    decoded: bool
    """Whether the index was built by decoding, so that it can't be wrong."""
    counted: bool
    """Whether frames must be counted from the first because they have no stamps."""

    def allows(self, before: int | None, stamp: int | None) -> bool:
        """Whether a frame has this stamp and comes after the one decoded last."""
        if stamp is None or (before is not None and stamp <= before):
            return False
        place = int(np.searchsorted(self.stamps, stamp))
        return place < len(self.stamps) and self.stamps[place] == stamp


@functools.lru_cache(maxsize=CACHED_VIDEOS)
def index_by_packets(path: str, version: tuple[int, int]) -> Index:
    """Index a video from its packets if each is one frame with its own stamp, else by decoding.

    Args:
        path: The file.
        version: Its time of change and size, so that a changed file is indexed again.

    Raises:
        BrokenFileError: if the file holds no video stream or is incomplete.
    """
    with errors_with_path(path), open_stream(path) as (container, stream):
        packets = [_read_packet(packet, stream) for packet in container.demux(stream) if packet.size]
        if container.format.name.startswith('mov') and len(packets) < stream.frames:
            # An edit list may hide whole groups of pictures, as in films that were trimmed without encoding them again.
            there = _count_packets(path, ignore_editlist='1')
            if there < stream.frames:
                raise broken(path, f'only {there} of {stream.frames} frames are there')
        shown = [packet for packet in packets if packet.is_shown]
        stamps = [packet.stamp for packet in shown if packet.stamp is not None]
        distinct = len(set(stamps)) == len(shown) > 0
        # Otherwise the first frames may refer to missing ones, and only decoding tells which.
        starts_with_key = distinct and packets[0].is_key and (min(stamps) == stamps[0] or not packets[0].is_shown)
        if starts_with_key and not _timestamps_unreliable(path):
            keys = [packet.stamp for packet in shown if packet.is_key and packet.stamp is not None]
            return _with_times(container, stream, sorted(stamps), keys, shown[-1].length)
    return index_by_decoding(path, version)


@functools.lru_cache(maxsize=CACHED_VIDEOS)
def index_by_decoding(path: str, version: tuple[int, int]) -> Index:
    """As :func:`index_by_packets`, but from the frames that the decoder gives."""
    stamps: list[int | None] = []
    keys: list[int] = []
    reason: object = 'it holds no frame'
    with errors_with_path(path), open_stream(path) as (container, stream):
        for packet in container.demux(stream):
            if packet.size and packet.is_keyframe and packet.pts is not None:
                keys.append(packet.pts)
            try:
                stamps += [frame.pts for frame in packet.decode()]
            except DECODER_FAULTS as error:
                reason = error
        if not stamps:
            raise broken(path, reason)
        known = [stamp for stamp in stamps if stamp is not None]
        if len(known) == len(stamps) and (np.diff(known) > 0).all():
            return _with_times(container, stream, known, keys, None)._replace(decoded=True)
        rate = _rate(stream) or DEFAULT_RATE
        places = np.arange(len(stamps))
        return Index(places, places[:0], places / rate, len(places) / rate, rate, decoded=True, counted=True)


def _preference(stream: av.VideoStream) -> int:
    """How ffmpeg ranks the streams of a file: by their size, and by the mark as the default."""
    return stream.width * stream.height + 5_000_000 * bool(stream.disposition & Disposition.default)


def _count_packets(path: str, **options: str) -> int:
    with open_stream(path, **options) as (container, stream):
        return sum(packet.size > 0 for packet in container.demux(stream))


@contextlib.contextmanager
def open_stream(path: str, **options: str) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """Open a file; yields it and its video stream: the one that the program ffmpeg takes, and no cover image.

    Args:
        path: The file.
        options: More options of FFmpeg.
    """
    # Before a colon in a plain path, FFmpeg would read the name of a protocol.
    with av.open(f'file:{path}', options=OPEN_OPTIONS | options) as container:
        videos = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        if not videos:
            raise broken(path, 'it has no video stream')
        # Some programs write the cover without its mark, as a track of one frame.
        stream = max([each for each in videos if each.frames != 1] or videos, key=_preference)
        if stream.codec_context is None:
            raise broken(path, 'its codec is not known')
        # Data loader workers already run in parallel; more threads here would only hold more frames.
        stream.codec_context.thread_count = 1
        yield container, stream


@contextlib.contextmanager
def errors_with_path(path: str) -> Iterator[None]:
    """Turn a decoder's error into a ``BrokenFileError`` that names the file."""
    try:
        yield
    except DECODER_FAULTS as error:
        raise broken(path, error) from error


def broken(path: str, reason: object) -> BrokenFileError:
    """The error for a file that can't be read."""
    first_line = (str(reason).strip() or type(reason).__name__).splitlines()[-1]
    return BrokenFileError(
        f"The video '{path}' is damaged, truncated or not a video ({first_line}); repair or remove it."
    )


class _Packet(NamedTuple):
    stamp: int | None
    length: int | None
    is_key: bool
    is_shown: bool


def _read_packet(packet: av.Packet, stream: av.VideoStream) -> _Packet:
    # VP8 stores frames that are never shown, only referred to; a bit in the first byte says so (RFC 6386, section 9.1).
    hidden = stream.codec_context.name in ('vp8', 'libvpx') and not memoryview(packet)[0] & 0x10
    return _Packet(packet.pts, packet.duration, packet.is_keyframe, not hidden and not packet.is_discard)


def _timestamps_unreliable(path: str) -> bool:
    """Whether packets may have other stamps than the frames decoded from them."""
    with open_stream(path) as (container, stream):
        if container.format.name == 'avi':
            # AVI has no presentation times, and those that FFmpeg derives from the decoding order are not always right.
            return bool(stream.codec_context.has_b_frames)
        if stream.codec_context.name != 'mpeg4':
            return False
        # DivX and XviD may put two frames into one packet; FFmpeg recognises it by the same mark.
        header = (stream.codec_context.extradata or b'') + bytes(next(container.demux(stream)))
        return bool(re.search(rb'DivX\d+(b|Build)\d+p', header))


def _with_times(
    container: InputContainer, stream: av.VideoStream, stamps: list[int], keys: list[int], last: int | None
) -> Index:
    unit = float(stream.time_base or 1)
    start = stamps[0] * unit
    if container.start_time is not None and container.format.name != 'avi':
        # A video may start later than its sound; not in AVI, which has no presentation times.
        start = min(start, container.start_time / av.time_base)
    times = np.array(stamps) * unit - start
    length = float(times[-1] - times[0])
    rate = _rate(stream) or ((len(times) - 1) / length if length > 0 else DEFAULT_RATE)
    duration = float(times[-1]) + (last * unit if last else 1 / rate)
    later_keys = np.array(sorted(key for key in keys if key > stamps[0]), int)
    return Index(np.array(stamps), later_keys, times, duration, rate, decoded=False, counted=False)


def _rate(stream: av.VideoStream) -> float:
    return float(stream.average_rate or stream.guessed_rate or 0)
