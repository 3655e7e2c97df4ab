"""Videos whose every frame tells its own number and which way is up, so that a wrong frame is seen.

The left half is a column of ten blocks, the bits of the number from the top (bright: 1). Of the right half the upper
quarter is red and the lower one blue.
"""

import subprocess
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 10
WIDTH, HEIGHT = 112, 80
MILLISECOND = Fraction(1, 1000)


def coded_frame(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """RGB ``(height, width, 3)``."""
    picture = np.full((height, width, 3), 128, np.uint8)
    edges = np.linspace(0, height, BITS + 1).round().astype(int)
    for bit, (top, bottom) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        picture[top:bottom, : width // 2] = 235 if number >> bit & 1 else 20
    picture[: height // 4, width // 2 :] = 220, 30, 30
    picture[-(height // 4) :, width // 2 :] = 30, 30, 220
    return picture


def number_of(picture: np.ndarray) -> int:
    """The number that an upright frame tells."""
    height, width = picture.shape[:2]
    rows = ((np.arange(BITS) + 0.5) * height / BITS).astype(int)
    bright = [picture[row - 1 : row + 2, width // 8 : 3 * width // 8].mean() > 128 for row in rows]
    return sum(1 << bit for bit, is_one in enumerate(bright) if is_one)


def is_upright(picture: np.ndarray) -> bool:
    """Whether red is above and blue below, both at the right."""
    height, width = picture.shape[:2]
    above, below = picture[height // 8, -width // 4].astype(int), picture[-height // 8, -width // 4].astype(int)
    return bool(above[0] - above[2] > 60 and below[2] - below[0] > 60)


def write_with_ffmpeg(path: Path, options: Sequence[str], count: int = 250, rate: int = 25) -> None:
    """``count`` coded frames through the program ``ffmpeg``, with options such as ``['-c:v', 'libx264']``."""
    source = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', f'{WIDTH}x{HEIGHT}', '-r', str(rate), '-i', '-']
    subprocess.run(
        ['ffmpeg', '-v', 'error', '-y', *source, *options, str(path)],
        input=b''.join(coded_frame(number).tobytes() for number in range(count)),
        check=True,
        capture_output=True,
    )


def write_with_pyav(
    path: Path,
    codec: str = 'libx264',
    times: Sequence[float] = tuple(np.arange(60) / 25),
    options: dict[str, str] | None = None,
    rotation: int = 0,
) -> None:
    """One coded frame at each of ``times``, in seconds; ``rotation`` is by how many degrees a player turns it left."""
    pictures = (np.ascontiguousarray(np.rot90(coded_frame(number), -rotation // 90)) for number in range(len(times)))
    with av.open(str(path), 'w') as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        # A clock of milliseconds, so that any times can be told.
        stream.codec_context.time_base = MILLISECOND
        stream.codec_context.thread_count = 1
        stream.width, stream.height = (HEIGHT, WIDTH) if rotation % 180 else (WIDTH, HEIGHT)
        stream.pix_fmt = 'yuvj420p' if codec == 'mjpeg' else 'yuv420p'
        if rotation:
            stream.set_display_rotation(rotation)
        for second, picture in zip(times, pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format='rgb24')
            frame.pts, frame.time_base = round(second / MILLISECOND), MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
