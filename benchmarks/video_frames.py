"""Whether the frames that are read are those that were asked for, in a matrix of codecs, containers and structures.

python -m benchmarks.video_frames --out benchmarks/results/video_frames   # needs the program ffmpeg

Each file has 250 frames that tell their own number, and is read at 200 places: clips of 16 frames of every fourth at
random places, and single frames in random order.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.readers.videos import open_video

import numpy as np

from benchmarks.report import parser_of, write
from tests.coded_videos import HEIGHT, WIDTH, number_of, write_with_ffmpeg

PLACES = 200
FRAMES = 250
YUV = ['-pix_fmt', 'yuv420p']
VARIABLE = ['-vf', "settb=1/1000,setpts='if(lt(N,100),N/25,4+(N-100)/10)/TB'", '-vsync', 'passthrough']
CODECS = {
    'mpeg4': (['-c:v', 'mpeg4', '-q:v', '2', '-g', '12'], ['mp4', 'mov', 'mkv', 'avi', 'ts']),
    'xvid': (['-c:v', 'libxvid', '-q:v', '2', '-g', '50'], ['mp4', 'mkv', 'avi']),
    'h264': (['-c:v', 'libx264', '-g', '30', *YUV], ['mp4', 'mov', 'mkv', 'avi', 'ts', 'flv']),
    'hevc': (['-c:v', 'libx265', *YUV], ['mp4', 'mov', 'mkv', 'ts']),
    'vp8': (['-c:v', 'libvpx', '-b:v', '1M', '-g', '40', *YUV], ['webm', 'mkv', 'avi']),
    'vp9': (['-c:v', 'libvpx-vp9', '-b:v', '1M', '-g', '40', '-deadline', 'realtime', *YUV], ['webm', 'mkv', 'mp4']),
    'av1': (['-c:v', 'libaom-av1', '-cpu-used', '8', '-usage', 'realtime', '-g', '40'], ['mp4', 'mkv', 'webm']),
    'mjpeg': (['-c:v', 'mjpeg', '-q:v', '3', '-pix_fmt', 'yuvj420p'], ['mp4', 'mov', 'mkv', 'avi']),
    'mpeg2': (['-c:v', 'mpeg2video', '-q:v', '2', '-g', '15'], ['mpg', 'ts', 'mkv', 'mp4']),
    'wmv2': (['-c:v', 'wmv2', '-q:v', '2', '-g', '30'], ['wmv', 'avi']),
}
X265 = 'log-level=error:pools=1:frame-threads=1'
STRUCTURES: dict[str, dict[str, list[str]]] = {
    'without B-frames': {
        'mpeg4': [], 'xvid': [], 'mpeg2': [], 'mjpeg': [], 'vp9': [], 'av1': [], 'wmv2': [],
        'vp8': ['-auto-alt-ref', '0'],
        'h264': ['-bf', '0'],
        'hevc': ['-x265-params', f'{X265}:bframes=0:keyint=30'],
    },
    'B-frames': {
        'mpeg4': ['-bf', '2'], 'xvid': ['-bf', '2'], 'mpeg2': ['-bf', '2'],
        'h264': ['-bf', '3', '-x264-params', 'b-pyramid=normal'],
        'hevc': ['-x265-params', f'{X265}:bframes=4:open-gop=0:keyint=30'],
        # What other codecs have in their place: frames that are stored but not shown.
        'vp8': ['-auto-alt-ref', '1', '-lag-in-frames', '16', '-arnr-maxframes', '5'],
        'vp9': ['-auto-alt-ref', '1', '-lag-in-frames', '16', '-deadline', 'good', '-cpu-used', '5'],
        'av1': ['-lag-in-frames', '16', '-usage', 'good'],
    },
    'open groups': {
        'mpeg2': ['-bf', '2', '-flags', '-cgop'],
        'h264': ['-bf', '3', '-x264-params', 'open-gop=1:keyint=30'],
        'hevc': ['-x265-params', f'{X265}:keyint=30:open-gop=1'],
    },
    'no key frames but the first': {
        'h264': ['-x264-params', 'keyint=infinite:scenecut=0'],
        'vp9': ['-g', '9999'],
        'mpeg4': ['-g', '600'],
    },
    'refresh by columns': {'h264': ['-x264-params', 'intra-refresh=1:keyint=30']},
    'two fields': {'h264': ['-x264-params', 'interlaced=1:bframes=2'], 'mpeg2': ['-flags', '+ilme+ildct', '-bf', '2']},
    'variable rate': {
        'mpeg4': VARIABLE, 'h264': [*VARIABLE, '-bf', '3'], 'hevc': [*VARIABLE, '-x265-params', X265],
        'vp8': [*VARIABLE, '-auto-alt-ref', '0'], 'vp9': VARIABLE, 'av1': VARIABLE, 'mjpeg': VARIABLE,
    },
    'rotated': {'mpeg4': [], 'h264': ['-bf', '3'], 'hevc': ['-x265-params', X265], 'mjpeg': []},
}  # fmt: skip
WITH_VARIABLE_RATE = ('mp4', 'mov', 'mkv', 'webm', 'ts')
WITH_ROTATION = ('mp4', 'mov')


def main() -> None:
    arguments = parse_arguments()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for codec, container, structure, options in cells(arguments.only):
            path = Path(folder, f'film.{container}')
            try:
                wrong = examine(path, structure, options)
            except UserError as error:
                print(error)
                wrong = PLACES
            rows.append(dict(codec=codec, container=container, structure=structure, places=PLACES, wrong=wrong))
            print(f'{codec:8}{container:6}{structure:30}{wrong} of {PLACES} wrong', flush=True)
    print(f'{sum(row["wrong"] for row in rows)} wrong of {PLACES * len(rows)} in {len(rows)} films')
    if arguments.out:
        write(arguments.out, rows, 'Frames that are not those asked for')


def cells(only: str | None) -> Iterator[tuple[str, str, str, list[str]]]:
    """Codec, container, structure, and the options of ffmpeg."""
    for structure, by_codec in STRUCTURES.items():
        for codec, more in by_codec.items():
            options, containers = CODECS[codec]
            for container in containers:
                if structure == 'variable rate' and container not in WITH_VARIABLE_RATE:
                    continue
                if structure == 'rotated' and container not in WITH_ROTATION:
                    continue
                if only is None or only in f'{codec} {container} {structure}':
                    yield codec, container, structure, [*options, *more]


def examine(path: Path, structure: str, options: list[str]) -> int:
    """How many of the places give another frame than was asked for."""
    write_with_ffmpeg(path, [*options, '-threads', '1'], FRAMES)
    if structure == 'rotated':
        turned = path.with_stem('turned')
        command = ['ffmpeg', '-v', 'error', '-y', '-i', str(path), '-c', 'copy', '-metadata:s:v:0', 'rotate=90']
        subprocess.run([*command, str(turned)], check=True)
        path = turned
    film = open_video(path)
    shown = frames_of_ffmpeg(path)
    random = np.random.default_rng(0)
    wanted = [start + 4 * np.arange(16) for start in random.integers(0, len(shown) - 61, 10)]
    wanted += [random.integers(0, len(shown), 4) for _ in range(10)]
    read = [(place, picture) for clip in wanted for place, picture in zip(clip, film.frames(clip), strict=True)]
    turns = -1 if structure == 'rotated' else 0
    shape = (WIDTH, HEIGHT) if turns else (HEIGHT, WIDTH)
    wrong = sum(
        picture.shape[:2] != shape or number_of(np.rot90(picture, turns)) != shown[place] for place, picture in read
    )
    return wrong if len(film) == len(shown) else PLACES


def frames_of_ffmpeg(path: Path) -> list[int]:
    """The numbers of all frames, in the order in which ffmpeg gives them."""
    command = ['ffmpeg', '-v', 'fatal', '-noautorotate', '-i', str(path), '-vsync', 'passthrough', '-f', 'rawvideo']
    raw = subprocess.run([*command, '-pix_fmt', 'rgb24', '-'], check=True, capture_output=True).stdout
    return [number_of(picture) for picture in np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 3)]


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument('--only', help='cells whose codec, container and structure hold this text')
    return parser.parse_args()


if __name__ == '__main__':
    main()
