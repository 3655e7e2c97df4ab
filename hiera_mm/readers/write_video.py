"""Writing videos atomically."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

from hiera_mm.atomic_write import atomic_write

import av
import numpy as np

MICROSECOND = Fraction(1, 1_000_000)


def write_video(
    path: str | Path, frames: Iterable[np.ndarray], rate: float, times: Sequence[float] | np.ndarray | None = None
) -> None:
    """Write an mp4, so that ``path`` either holds all of it or is not touched.

    Args:
        path: The mp4 file.
        frames: RGB arrays ``(H, W, 3)``.
        rate: Frames a second.
        times: When each frame appears, in seconds; by default it follows from ``rate``.
    """
    # x264's slower presets don't give the same bytes each time.
    options = dict(crf='18', preset='ultrafast')
    with atomic_write(path) as unfinished, av.open(str(unfinished), 'w', format='mp4') as container:
        stream = container.add_stream('libx264', rate=Fraction(rate).limit_denominator(1001), options=options)
        stream.pix_fmt = 'yuv420p'
        if times is not None:
            stream.codec_context.time_base = MICROSECOND
        for number, frame in enumerate(frames):
            # yuv420p needs even sides.
            even = np.pad(frame, [(0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)], mode='edge')
            if not stream.codec_context.is_open:
                stream.height, stream.width = even.shape[:2]
            encoded = av.VideoFrame.from_ndarray(even, format='rgb24')
            if times is not None:
                encoded.pts, encoded.time_base = round(times[number] / MICROSECOND), MICROSECOND
            container.mux(stream.encode(encoded))
        container.mux(stream.encode())
