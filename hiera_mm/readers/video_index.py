"""Which frames a video file has, and when each is shown: by its packets, or by decoding where they don't tell."""

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
"""What PyAV raises for files that are damaged or no videos."""

KEPT = 512
"""Videos whose index a process remembers, 16 bytes a frame: 0.4 MB for 15 minutes."""

NAMING_OTHERS = {'concat', 'concatf', 'dash', 'hls', 'imf', 'lavfi', 'rtp', 'rtsp', 'sdp', 'webm_dash_manifest'}
"""Formats whose files name others, which FFmpeg would open, whatever the file is called: also any file of this machine,
and addresses that only it can reach."""

OPTIONS = dict(
    # Old formats (AVI) give no time of presentation, which FFmpeg finds by looking ahead.
    fflags='genpts',
    format_whitelist=','.join(sorted(av.formats_available - NAMING_OTHERS)),
)

RATE_WITHOUT_ONE = 25.0
"""Frames a second, as FFmpeg takes for formats that hold no time."""


class Index(NamedTuple):
    """What is known of a video's frames, in the order in which they are shown."""

    stamps: np.ndarray
    """Time stamps ``(N,)`` in the stream's unit; their places where the file has none that can be used."""
    keys: np.ndarray
    """Stamps of the frames at which decoding can begin, except the first of the video, which needs no seek."""
    times: np.ndarray
    """Seconds ``(N,)`` from the beginning."""
    duration: float
    """Seconds until the last frame is gone."""
    rate: float
    """Frames a second, on average."""
    decoded: bool
    """Whether it was made by decoding, so that it can't be wrong."""
    counted: bool
    """Whether frames must be counted from the first, as they have no stamps."""

    def allows(self, before: int | None, stamp: int | None) -> bool:
        """Whether there is a frame with this stamp, and not before the one that came out last."""
        if stamp is None or (before is not None and stamp <= before):
            return False
        place = int(np.searchsorted(self.stamps, stamp))
        return place < len(self.stamps) and self.stamps[place] == stamp


@functools.lru_cache(maxsize=KEPT)
def index_of(path: str, version: tuple[int, int]) -> Index:
    """From the packets, if each of them is one frame with its own stamp; else by decoding.

    Args:
        path: The file.
        version: Its time of change and size, so that one that is written anew is read anew.

    Raises:
        BrokenFileError: if it holds no video stream, or a part of it is missing.
    """
    with errors_named(path), opened(path) as (container, stream):
        packets = [_of(packet, stream) for packet in container.demux(stream) if packet.size]
        if container.format.name.startswith('mov') and len(packets) < stream.frames:
            raise broken(path, f'only {len(packets)} of {stream.frames} frames are there')
        shown = [packet for packet in packets if packet.is_shown]
        stamps = [packet.stamp for packet in shown if packet.stamp is not None]
        distinct = len(set(stamps)) == len(shown) > 0
        # Else the first frames may lack what they are made from, and only decoding tells which.
        begins_whole = distinct and packets[0].is_key and (min(stamps) == stamps[0] or not packets[0].is_shown)
        if begins_whole and not _stamps_mislead(path):
            keys = [packet.stamp for packet in shown if packet.is_key and packet.stamp is not None]
            return _with_times(container, stream, sorted(stamps), keys, shown[-1].length)
    return index_by_decoding(path, version)


@functools.lru_cache(maxsize=KEPT)
def index_by_decoding(path: str, version: tuple[int, int]) -> Index:
    """As :func:`index_of`, but of the frames that come out of the decoder."""
    stamps: list[int | None] = []
    keys: list[int] = []
    reason: object = 'it holds no frame'
    with errors_named(path), opened(path) as (container, stream):
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
        rate = _rate(stream) or RATE_WITHOUT_ONE
        places = np.arange(len(stamps))
        return Index(places, places[:0], places / rate, len(places) / rate, rate, decoded=True, counted=True)


@contextlib.contextmanager
def opened(path: str) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """The file and its video stream, which is not its cover picture."""
    with av.open(path, options=OPTIONS) as container:
        streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
        if not streams:
            raise broken(path, 'it has no video stream')
        if streams[0].codec_context is None:
            raise broken(path, 'its codec is not known')
        # The workers of a data loader are the parallel ones; more threads here would only hold more frames.
        streams[0].codec_context.thread_count = 1
        yield container, streams[0]


@contextlib.contextmanager
def errors_named(path: str) -> Iterator[None]:
    """Raise what a decoder says as a ``BrokenFileError`` that names the file."""
    try:
        yield
    except DECODER_FAULTS as error:
        raise broken(path, error) from error


def broken(path: str, reason: object) -> BrokenFileError:
    """What to say of a file that can't be read."""
    first_line = (str(reason).strip() or type(reason).__name__).splitlines()[-1]
    return BrokenFileError(
        f"The video '{path}' is damaged, truncated or not a video ({first_line}); repair or remove it."
    )


class _Packet(NamedTuple):
    stamp: int | None
    length: int | None
    is_key: bool
    is_shown: bool


def _of(packet: av.Packet, stream: av.VideoStream) -> _Packet:
    # VP8 stores frames that are only referred to; a bit of their first byte says so (RFC 6386, section 9.1).
    hidden = stream.codec_context.name in ('vp8', 'libvpx') and not memoryview(packet)[0] & 0x10
    return _Packet(packet.pts, packet.duration, packet.is_keyframe, not hidden and not packet.is_discard)


def _stamps_mislead(path: str) -> bool:
    """Whether packets may have other stamps than the frames that come out of them."""
    with opened(path) as (container, stream):
        if container.format.name == 'avi':
            # It has no time of presentation, and what FFmpeg makes of the order of decoding is not always right.
            return bool(stream.codec_context.has_b_frames)
        if stream.codec_context.name != 'mpeg4':
            return False
        # DivX and XviD may put two frames into one packet, which FFmpeg knows by this mark, too.
        beginning = (stream.codec_context.extradata or b'') + bytes(next(container.demux(stream)))
        return bool(re.search(rb'DivX\d+(b|Build)\d+p', beginning))


def _with_times(
    container: InputContainer, stream: av.VideoStream, stamps: list[int], keys: list[int], last: int | None
) -> Index:
    unit = float(stream.time_base or 1)
    begin = stamps[0] * unit
    if container.start_time is not None and container.format.name != 'avi':
        # A video may begin later than its sound; AVI knows no such thing, only an order of decoding.
        begin = min(begin, container.start_time / av.time_base)
    times = np.array(stamps) * unit - begin
    length = float(times[-1] - times[0])
    rate = _rate(stream) or ((len(times) - 1) / length if length > 0 else RATE_WITHOUT_ONE)
    duration = float(times[-1]) + (last * unit if last else 1 / rate)
    later_keys = np.array(sorted(key for key in keys if key > stamps[0]), int)
    return Index(np.array(stamps), later_keys, times, duration, rate, decoded=False, counted=False)


def _rate(stream: av.VideoStream) -> float:
    return float(stream.average_rate or stream.guessed_rate or 0)
