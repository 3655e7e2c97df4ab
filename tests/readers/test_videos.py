"""Video files: exactly the frames that a player shows, whatever the codec, the container and the time stamps."""

import shutil
import struct
import subprocess

from hiera_mm.errors import BrokenFileError
from hiera_mm.readers.frames import count_steps, frames_at, frames_at_steps
from hiera_mm.readers.videos import open_video

import av
import numpy as np
import pytest

from tests.coded_videos import coded_frame, is_upright, number_of, write_with_ffmpeg, write_with_pyav

X265 = 'log-level=error:pools=1:frame-threads=1'
FILMS = {
    'h264 with B-frames': ('a.mp4', 'libx264', dict(bf='3', g='12')),
    'h264 with open groups': ('a.mkv', 'libx264', {'x264-params': 'open-gop=1:keyint=12', 'bf': '3'}),
    'h264 without later key frames': ('a.mov', 'libx264', dict(g='600')),
    'h264 refreshed by columns': ('a.mp4', 'libx264', {'x264-params': 'intra-refresh=1:keyint=12'}),
    'h264 in a transport stream': ('a.ts', 'libx264', dict(bf='2', g='12')),
    'hevc with open groups': ('a.mp4', 'libx265', {'x265-params': f'{X265}:keyint=12'}),
    'vp8 with hidden frames': ('a.webm', 'libvpx', {'auto-alt-ref': '1', 'lag-in-frames': '16', 'g': '20'}),
    'vp9 with hidden frames': ('a.webm', 'libvpx-vp9', {'auto-alt-ref': '1', 'lag-in-frames': '16', 'cpu-used': '6'}),
    'av1': ('a.mp4', 'libsvtav1', dict(preset='12', g='20')),
    'mpeg4 with B-frames': ('a.mp4', 'mpeg4', dict(bf='2', g='12', qmax='3')),
    'mjpeg': ('a.mov', 'mjpeg', dict(qmax='3')),
}
"""File, encoder and options."""
BY_FFMPEG = {
    'mpeg4 with B-frames': ('a.avi', ['-c:v', 'mpeg4', '-q:v', '2', '-bf', '2', '-g', '12']),
    'two XviD frames in one packet': ('a.avi', ['-c:v', 'libxvid', '-q:v', '2', '-bf', '2', '-g', '12']),
    'h264 with B-frames': ('a.avi', ['-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-bf', '3', '-g', '12']),
    'mpeg2': ('a.mpg', ['-c:v', 'mpeg2video', '-q:v', '2', '-bf', '2']),
    'mpeg2 in fields': ('a.ts', ['-c:v', 'mpeg2video', '-q:v', '2', '-bf', '2', '-flags', '+ilme+ildct']),
    'wmv': ('a.wmv', ['-c:v', 'wmv2', '-q:v', '2']),
    'no time stamps at all': ('a.h264', ['-c:v', 'libx264', '-pix_fmt', 'yuv420p', '-bf', '2', '-g', '12']),
    'an image sequence in one file': ('a.mjpeg', ['-c:v', 'mjpeg', '-q:v', '2']),
    'animated': ('a.gif', ['-vf', 'split[a][b];[a]palettegen[p];[b][p]paletteuse']),
}
"""File and options of what PyAV does not write."""


@pytest.fixture
def ffmpeg():
    if shutil.which('ffmpeg') is None:
        pytest.skip('the program ffmpeg is not installed')


def shown_by_ffmpeg(path):
    """Numbers of all frames, by the program."""
    command = ['ffmpeg', '-v', 'fatal', '-i', str(path), '-vsync', 'passthrough', '-f', 'rawvideo', '-pix_fmt', 'rgb24']
    raw = subprocess.run([*command, '-'], check=True, capture_output=True).stdout
    return [number_of(picture) for picture in np.frombuffer(raw, np.uint8).reshape(-1, *coded_frame(0).shape)]


def read_in_every_way(path, shown):
    """Fails unless single frames, clips, and all of them at once are those that are shown."""
    film = open_video(path)
    assert len(film) == len(shown)
    random = np.random.default_rng(0)
    for places in (
        *random.integers(0, len(shown), (12, 1)),
        *random.integers(0, len(shown), (4, 5)),
        range(len(shown)),
    ):
        assert [number_of(frame) for frame in open_video(path).frames(places)] == [shown[place] for place in places]
    assert [number_of(frame) for frame in film] == shown


@pytest.mark.parametrize('kind', FILMS)
def test_frames_are_the_ones_asked_for_in_any_order(tmp_path, kind):
    name, codec, options = FILMS[kind]
    write_with_pyav(tmp_path / name, codec, options=options)
    read_in_every_way(tmp_path / name, list(range(60)))


@pytest.mark.usefixtures('ffmpeg')
@pytest.mark.parametrize('kind', BY_FFMPEG)
def test_frames_are_those_that_ffmpeg_shows(tmp_path, kind):
    name, options = BY_FFMPEG[kind]
    write_with_ffmpeg(tmp_path / name, options, count=60)
    read_in_every_way(tmp_path / name, shown_by_ffmpeg(tmp_path / name))


@pytest.mark.usefixtures('ffmpeg')
def test_a_film_cut_without_encoding_begins_where_players_begin_it(tmp_path):
    write_with_pyav(tmp_path / 'whole.mp4', options=dict(bf='3', g='20'))
    command = ['ffmpeg', '-v', 'error', '-ss', '1.1', '-i', str(tmp_path / 'whole.mp4'), '-c', 'copy']
    subprocess.run([*command, str(tmp_path / 'cut.mp4')], check=True)
    shown = shown_by_ffmpeg(tmp_path / 'cut.mp4')
    assert shown[-1] == 59 and 20 < shown[0] <= 28
    read_in_every_way(tmp_path / 'cut.mp4', shown)


@pytest.mark.parametrize('degrees', [90, 180, 270])
@pytest.mark.parametrize('ending', ['mp4', 'mov', 'mkv'])
def test_a_film_is_upright_as_players_show_it(tmp_path, degrees, ending):
    write_with_pyav(tmp_path / f'film.{ending}', rotation=degrees)
    film = open_video(tmp_path / f'film.{ending}')
    for number, frame in zip((31, 7), film.frames([31, 7]), strict=True):
        assert frame.shape == (80, 112, 3) and is_upright(frame) and number_of(frame) == number
    assert is_upright(next(iter(film)))


@pytest.mark.usefixtures('ffmpeg')
@pytest.mark.parametrize('turn', ['hflip', 'vflip', 'transpose=0', 'transpose=3'])
def test_a_mirrored_film_is_what_ffmpeg_makes_of_it(tmp_path, turn):
    """With the eight placings of a picture that a matrix of quarter turns and mirrors can say."""
    matrix = {
        'hflip': (-1, 0, 0, 1), 'vflip': (1, 0, 0, -1), 'transpose=0': (0, 1, 1, 0), 'transpose=3': (0, -1, -1, 0)
    }[turn]  # fmt: skip
    write_with_pyav(tmp_path / 'film.mp4')
    with av.open(str(tmp_path / 'film.mp4')) as source, av.open(str(tmp_path / 'mirrored.mp4'), 'w') as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        a, b, c, d = matrix
        stream.set_display_matrix([a * 65536, b * 65536, 0, c * 65536, d * 65536, 0, 0, 0, 1 << 30])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    command = ['ffmpeg', '-v', 'error', '-i', str(tmp_path / 'mirrored.mp4'), '-frames:v', '1', str(tmp_path / 'a.png')]
    subprocess.run(command, check=True)
    with av.open(str(tmp_path / 'a.png')) as picture:
        expected = next(picture.decode(video=0)).to_ndarray(format='rgb24')
    frame = open_video(tmp_path / 'mirrored.mp4').frames([0])[0]
    assert frame.shape == expected.shape and np.abs(frame.astype(int) - expected).max() <= 2


@pytest.mark.parametrize('marked', [True, False])
@pytest.mark.parametrize('first', [True, False])
def test_a_cover_picture_is_not_the_film(tmp_path, marked, first):
    write_with_pyav(tmp_path / 'film.mp4')
    with av.open(str(tmp_path / 'film.mp4')) as source, av.open(str(tmp_path / 'covered.mp4'), 'w') as target:
        film = None if first else target.add_stream_from_template(source.streams.video[0])
        cover = target.add_stream('mjpeg', rate=25)
        cover.width, cover.height, cover.pix_fmt = 64, 64, 'yuvj420p'
        if marked:
            cover.disposition = av.stream.Disposition.attached_pic
        film = film or target.add_stream_from_template(source.streams.video[0])
        target.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format='rgb24')))
        target.mux(cover.encode())
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = film
                target.mux(packet)
    covered = open_video(tmp_path / 'covered.mp4')
    assert len(covered) == 60 and number_of(covered.frames([33])[0]) == 33


@pytest.mark.parametrize(
    'name', ['10:30.mp4', 'http:film.mp4', 'a b.mp4', '%20.mp4', 'film?.mp4', '#1.mp4', "it's.mp4"]
)
def test_names_that_mean_something_to_ffmpeg_are_names(tmp_path, name):
    write_with_pyav(tmp_path / 'film.mp4')
    (tmp_path / 'film.mp4').rename(tmp_path / name)
    assert len(open_video(tmp_path / name)) == 60


@pytest.mark.parametrize('first, last', [(45, 90), (0, 45), (30, 60), (0, 90)])
def test_a_film_that_was_trimmed_by_its_edit_list_has_the_frames_that_are_shown(tmp_path, first, last):
    path = tmp_path / 'a.mp4'
    write_with_pyav(path, times=np.arange(90) / 25, options=dict(g='15', bf='2'))
    content = bytearray(path.read_bytes())
    place = content.index(b'elst') + 12
    length, start = struct.unpack_from('>Ii', content, place)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        begin = start + round(first / stream.average_rate / stream.time_base)
    struct.pack_into('>Ii', content, place, length * (last - first) // 90, begin)
    path.write_bytes(content)
    with av.open(str(path)) as container:
        shown = [number_of(frame.to_ndarray(format='rgb24')) for frame in container.decode(video=0)]
    film = open_video(path)
    assert [number_of(frame) for frame in film.frames(range(len(film)))] == shown


def test_a_film_of_which_the_end_is_missing_is_still_refused(tmp_path, ffmpeg):
    path = tmp_path / 'a.mp4'
    write_with_pyav(path, times=np.arange(90) / 25)
    faststart = tmp_path / 'b.mp4'
    command = ['ffmpeg', '-v', 'fatal', '-i', str(path), '-c', 'copy', '-movflags', 'faststart', str(faststart)]
    subprocess.run(command, check=True)
    whole = faststart.read_bytes()
    faststart.write_bytes(whole[: len(whole) * 2 // 3])
    path = faststart
    with pytest.raises(BrokenFileError):
        open_video(path)


VARIABLE = [*np.arange(60) / 30, *(2 + np.arange(40) / 10)]
"""Two seconds at 30 frames a second and four at 10, as phones film in the dark."""


@pytest.mark.parametrize('ending', ['mp4', 'mkv', 'webm', 'ts'])
def test_a_second_is_the_frame_on_the_screen_then_at_a_variable_rate(tmp_path, ending):
    codec = 'libvpx-vp9' if ending == 'webm' else 'libx264'
    write_with_pyav(tmp_path / f'film.{ending}', codec, times=VARIABLE)
    film = open_video(tmp_path / f'film.{ending}')
    np.testing.assert_allclose(film.times - film.times[0], VARIABLE, atol=1.1e-3)
    at = {0: 0, 0.5: 15, 1: 30, 2: 60, 2.05: 60, 3: 70, 3.99: 79, 5: 90, 60: 99, -1: 0}
    assert frames_at(film, list(at)).tolist() == list(at.values())
    assert [number_of(frame) for frame in film.frames(frames_at(film, list(at)))] == list(at.values())


@pytest.mark.parametrize('rate', [10, 24000 / 1001, 25, 30000 / 1001, 30, 60, 119.88])
def test_seconds_and_steps_fit_at_constant_rates_also_where_times_are_rounded(tmp_path, rate):
    """A container that rounds to milliseconds, and one that does not."""
    for ending in ('mkv', 'mp4'):
        write_with_pyav(tmp_path / f'film.{ending}', times=np.arange(60) / rate)
        film = open_video(tmp_path / f'film.{ending}')
        assert frames_at(film, np.arange(60) / rate).tolist() == list(range(60))
        assert frames_at_steps(film, range(60), rate).tolist() == list(range(60))
        assert abs(count_steps(film, rate) - 60) <= max(1, rate / 25)


def test_a_file_written_anew_is_read_anew(tmp_path):
    write_with_pyav(tmp_path / 'film.mp4')
    assert len(open_video(tmp_path / 'film.mp4')) == 60
    write_with_pyav(tmp_path / 'film.mp4', times=np.arange(30) / 25)
    film = open_video(tmp_path / 'film.mp4')
    assert len(film) == 30 and number_of(film.frames([29])[0]) == 29


def test_repeated_frames_are_arrays_of_their_own(tmp_path):
    write_with_pyav(tmp_path / 'film.mp4')
    film = open_video(tmp_path / 'film.mp4')
    first, second, third = film.frames([3, 3, 5])
    first[:] = 0
    assert number_of(second) == 3 and number_of(third) == 5
    assert number_of(film.frames([3])[0]) == 3


@pytest.mark.parametrize('name', ['demo.mp4', 'demo_spatiotemporal_det.mp4'])
def test_real_videos_are_what_pyav_decodes_from_their_beginning(real_videos, name):
    with av.open(str(real_videos / name)) as container:
        whole = [frame.to_ndarray(format='rgb24') for frame in container.decode(video=0)]
    film = open_video(real_videos / name)
    assert len(film) == len(whole)
    for place in (0, 1, 7, len(whole) // 2, len(whole) - 1, 5):
        assert np.array_equal(film.frames([place])[0], whole[place])


@pytest.mark.parametrize('name', ['half', 'empty', 'text', 'sound', 'zeros'])
def test_a_file_that_is_no_video_is_named(tmp_path, name):
    path = tmp_path / f'{name}.mp4'
    write_with_pyav(path)
    whole = path.read_bytes()
    path.write_bytes(dict(half=whole[: len(whole) // 2], empty=b'', text=b'no video', zeros=bytes(999)).get(name, b''))
    if name == 'sound':
        with av.open(str(path), 'w') as container:
            stream = container.add_stream('aac', rate=8000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format='fltp', layout='mono')
            frame.rate = 8000
            container.mux(stream.encode(frame)), container.mux(stream.encode())
    with pytest.raises(BrokenFileError, match=f"{name}.mp4' is damaged, truncated or not a video .*; repair or remove"):
        open_video(path)


def test_a_video_cut_off_after_its_index_is_named(tmp_path):
    """With the index at the front the file opens, and says that it has all frames."""
    write_with_pyav(tmp_path / 'whole.mp4', options=dict(g='5'))
    subject = tmp_path / 'cut.mp4'
    with (
        av.open(str(tmp_path / 'whole.mp4')) as source,
        av.open(str(subject), 'w', options=dict(movflags='faststart')) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    whole = subject.read_bytes()
    subject.write_bytes(whole[: int(len(whole) * 0.6)])
    with pytest.raises(BrokenFileError, match=r"cut.mp4' is damaged, truncated or not a video \(only \d+ of 60 frames"):
        open_video(subject).frames(range(40))


def test_a_frame_beyond_the_end_is_an_error_that_says_how_many_there_are(tmp_path):
    write_with_pyav(tmp_path / 'film.mp4')
    with pytest.raises(BrokenFileError, match='it has 60 frames, so no frame 60'):
        open_video(tmp_path / 'film.mp4').frames([3, 60])


def test_a_missing_video_is_named(tmp_path):
    with pytest.raises(
        BrokenFileError, match="The video '.*none.mp4' does not exist; correct the path, data_prefix or"
    ):
        open_video(tmp_path / 'none.mp4')
