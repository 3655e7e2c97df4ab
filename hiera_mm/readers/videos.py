"""Video files: read by decord where it is installed and by PyAV otherwise, broken ones named, and written whole."""

import importlib.util
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import BrokenFileError, UserError

import numpy as np

VIDEO_ENDINGS = ('.mp4', '.webm', '.avi', '.mkv', '.mov')
"""Of the files that are taken for videos."""


class FrameReader(Protocol):
    """Frames of a video file, or of a folder that stands for one."""

    rate: float
    """Frames a second."""

    @property
    def path(self) -> str | Path:
        """Of the file or folder."""

    def __len__(self) -> int:
        """The number of frames."""

    def frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        """RGB arrays ``(H, W, 3)``; raises ``BrokenFileError`` where they can't be decoded."""


def open_video(path: str | Path) -> FrameReader:
    """A reader of a video file, decord's or PyAV's.

    Raises:
        BrokenFileError: if there is no video at ``path``.
        UserError: if neither decord nor PyAV is installed.
    """
    if not Path(path).is_file():
        raise BrokenFileError(f"The video '{path}' does not exist; correct the path, data_prefix or the list.")
    for package, reader in READERS.items():
        if importlib.util.find_spec(package) is not None:
            return reader(str(path))
    raise UserError('No video decoder is installed; run: pip install av')


class DecordReader:
    """decord's reader: fast at random access."""

    def __init__(self, path: str) -> None:
        import decord

        self.path = path
        self.faults = (decord.DECORDError, RuntimeError, IndexError)
        try:
            self.reader = decord.VideoReader(path, num_threads=1)
            self.rate = float(self.reader.get_avg_fps())
        except self.faults as error:
            raise _broken(path, error) from error

    def __len__(self) -> int:
        return len(self.reader)

    def frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        try:
            return list(self.reader.get_batch(list(map(int, indices))).asnumpy())
        except self.faults as error:
            raise _broken(self.path, error) from error


class AvReader:
    """PyAV's reader: frames are numbered by the order of their time stamps."""

    def __init__(self, path: str) -> None:
        import av

        self.path, self.open = path, av.open
        self.faults = (av.FFmpegError, IndexError)
        try:
            with self.open(path) as container:
                stream = container.streams.video[0]
                self.rate = float(stream.average_rate or 0)
                self.times = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
                declared = stream.frames
        except self.faults as error:
            raise _broken(path, error) from error
        if self.rate <= 0:
            raise _broken(path, 'it gives no frame rate')
        if len(self.times) < max(declared, 1):
            raise _broken(path, f'only {len(self.times)} of {declared} frames are there')

    def __len__(self) -> int:
        return len(self.times)

    def frames(self, indices: Sequence[int]) -> list[np.ndarray]:
        wanted = {self.times[int(index)] for index in indices}
        found = {}
        try:
            with self.open(self.path) as container:
                stream = container.streams.video[0]
                container.seek(min(wanted), stream=stream)
                for frame in container.decode(stream):
                    if frame.pts in wanted:
                        found[frame.pts] = frame.to_ndarray(format='rgb24')
                    if len(found) == len(wanted):
                        break
        except self.faults as error:
            raise _broken(self.path, error) from error
        if len(found) < len(wanted):
            raise _broken(self.path, f'only {len(found)} of {len(wanted)} frames can be decoded')
        return [found[self.times[int(index)]] for index in indices]


READERS: dict[str, type[DecordReader] | type[AvReader]] = dict(decord=DecordReader, av=AvReader)
"""By the packages they need, the preferred first."""


def write_video(path: str | Path, frames: Iterable[np.ndarray], rate: float) -> None:
    """Write RGB frames ``(H, W, 3)`` as an mp4, so that ``path`` either holds all of it or is not touched.

    Raises:
        UserError: if PyAV is not installed.
    """
    if importlib.util.find_spec('av') is None:
        raise UserError('Writing a video needs PyAV; run: pip install av')
    import av

    options = dict(crf='18', preset='ultrafast')
    # The fastest preset, as slower ones of x264 don't give the same bytes each time.
    with atomic_write(path) as unfinished, av.open(str(unfinished), 'w', format='mp4') as container:
        stream = container.add_stream('libx264', rate=Fraction(rate).limit_denominator(1001), options=options)
        stream.pix_fmt = 'yuv420p'
        for frame in frames:
            # This kind of colour needs even sides.
            even = np.pad(frame, [(0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)], mode='edge')
            if not stream.codec_context.is_open:
                stream.height, stream.width = even.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format='rgb24')))
        container.mux(stream.encode())


def _broken(path: str, reason: object) -> BrokenFileError:
    first_line = (str(reason).strip() or type(reason).__name__).splitlines()[-1]
    return BrokenFileError(
        f"The video '{path}' is damaged, truncated or not a video ({first_line}); repair or remove it."
    )
