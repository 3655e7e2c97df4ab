"""Reading videos: both decoders, broken files, repeated clips, and lists."""

import shutil

from hiera_mm.datasets.video import ClipDataset
from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.readers.labelled_lists import read_video_list
from hiera_mm.readers.videos import AvReader, DecordReader, open_video
from hiera_mm.synthetic.motions import MOTIONS, make_motion_shapes

import av
import numpy as np
import pytest
from mmaction.datasets import VideoDataset
from mmengine.registry import init_default_scope

READERS = [DecordReader, AvReader]
PIPELINE = [
    dict(type='OpenVideo'),
    dict(type='SampleFrames', clip_len=16, frame_interval=1, num_clips=1),
    dict(type='ReadFrames'),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]


@pytest.fixture(scope='module')
def videos(tmp_path_factory):
    """Folder of the motion set with 12 and 6 videos."""
    folder = tmp_path_factory.mktemp('data') / 'motion'
    make_motion_shapes(folder, train=12, val=6, seed=3)
    return folder


@pytest.fixture
def broken(videos, tmp_path):
    """Files that can't be read as clips, by what is wrong with them."""
    whole = (videos / 'train/00000.mp4').read_bytes()
    contents = dict(truncated=whole[: len(whole) // 2], empty=b'', text=b'no video at all')
    for name, content in contents.items():
        (tmp_path / f'{name}.mp4').write_bytes(content)
    with av.open(str(tmp_path / 'sound.mp4'), 'w') as container:
        stream = container.add_stream('aac', rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format='fltp', layout='mono')
        frame.rate = 8000
        container.mux(stream.encode(frame)), container.mux(stream.encode())
    return tmp_path


def write_frames(path, greys, options=None, container_options=None):
    """A video whose frames are grey levels, losslessly enough to tell them apart."""
    with av.open(str(path), 'w', options=container_options or {}) as container:
        stream = container.add_stream('libx264', rate=10, options=dict(crf='1', threads='1') | (options or {}))
        stream.width = stream.height = 64
        stream.pix_fmt = 'yuv420p'
        for grey in greys:
            frame = np.full((64, 64, 3), grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        container.mux(stream.encode())


@pytest.mark.parametrize('name', ['demo.mp4', 'demo_spatiotemporal_det.mp4'])
def test_both_decoders_give_the_same_frames_of_real_videos(real_videos, name):
    first, second = (reader(str(real_videos / name)) for reader in READERS)
    assert len(first) == len(second) and first.rate == pytest.approx(second.rate)
    indices = [0, 1, 7, len(first) // 2, len(first) - 1, 5, 5]
    for one, other in zip(first.frames(indices), second.frames(indices), strict=True):
        assert one.dtype == np.uint8 and one.shape[2] == 3
        assert np.array_equal(one, other)


@pytest.mark.parametrize('reader', READERS)
@pytest.mark.parametrize('options', [{}, dict(bf='3', g='12'), dict(g='1')])
def test_frames_are_the_ones_asked_for_in_any_order(tmp_path, reader, options):
    """Also with frames stored in another order than shown, and far from key frames."""
    greys = list(range(20, 220, 5))
    write_frames(tmp_path / 'grey.mp4', greys, options)
    video = reader(str(tmp_path / 'grey.mp4'))
    assert len(video) == len(greys) and video.rate == 10
    wanted = [39, 0, 13, 13, 27, 2]
    for index, frame in zip(wanted, video.frames(wanted), strict=True):
        assert abs(frame.mean() - greys[index]) < 2


@pytest.mark.parametrize('reader', READERS)
@pytest.mark.parametrize('name', ['truncated', 'empty', 'text', 'sound'])
def test_a_file_that_is_no_video_is_named(broken, reader, name):
    with pytest.raises(
        BrokenFileError, match=f"{name}.mp4' is damaged, truncated or not a video .*; repair or remove it"
    ):
        video = reader(str(broken / f'{name}.mp4'))
        video.frames(range(len(video)))


@pytest.mark.parametrize('reader', READERS)
def test_a_video_cut_off_after_its_index_is_named_when_its_frames_are_read(tmp_path, reader):
    """With the index at the front the file opens, and says that it has all frames."""
    random = np.random.default_rng(0)
    greys = random.integers(0, 255, 40).tolist()
    write_frames(tmp_path / 'whole.mp4', greys, dict(g='5'), dict(movflags='faststart'))
    whole = (tmp_path / 'whole.mp4').read_bytes()
    (tmp_path / 'cut.mp4').write_bytes(whole[: int(len(whole) * 0.6)])
    with pytest.raises(BrokenFileError, match="cut.mp4' is damaged, truncated or not a video"):
        video = reader(str(tmp_path / 'cut.mp4'))
        video.frames(range(40))


def test_pyav_serves_where_decord_is_missing(videos, monkeypatch):
    path = videos / 'train/00000.mp4'
    assert isinstance(open_video(path), DecordReader)
    installed = {'av'}
    monkeypatch.setattr('importlib.util.find_spec', lambda name: name if name in installed else None)
    assert isinstance(open_video(path), AvReader)
    installed.clear()
    with pytest.raises(UserError, match='No video decoder is installed; run: pip install av'):
        open_video(path)


def clips(list_file, folder, **arguments):
    init_default_scope('mmaction')
    return ClipDataset(str(list_file), pipeline=PIPELINE, data_prefix=dict(video=str(folder)), **arguments)


def write_list(path, names):
    path.write_text(''.join(f'{name} {label}\n' for label, name in enumerate(names)))
    return path


def test_repeated_clips_are_drawn_apart_and_share_the_label(videos):
    dataset = clips(videos / 'train.txt', videos, num_repeats=4)
    np.random.seed(0)
    samples = dataset[3]
    assert len(samples) == 4 and all(sample['data_samples'].gt_label.item() == 3 for sample in samples)
    inputs = [sample['inputs'] for sample in samples]
    assert all(clip.shape == (1, 3, 16, 64, 64) for clip in inputs)
    assert any(not np.array_equal(inputs[0], clip) for clip in inputs[1:])
    assert isinstance(clips(videos / 'train.txt', videos)[3], dict)


def test_clips_equal_those_of_mmaction2s_own_decoding(videos):
    ours = clips(videos / 'val.txt', videos, test_mode=True)
    pipeline = [dict(type='DecordInit'), dict(PIPELINE[1], test_mode=True), dict(type='DecordDecode'), *PIPELINE[3:]]
    ours.pipeline.transforms[1].test_mode = True
    theirs = VideoDataset(str(videos / 'val.txt'), pipeline, dict(video=str(videos)), test_mode=True)
    for index in range(6):
        assert np.array_equal(ours[index]['inputs'], theirs[index]['inputs'])
        assert ours[index]['data_samples'].gt_label == theirs[index]['data_samples'].gt_label


@pytest.mark.parametrize('test_mode', [False, True])
@pytest.mark.parametrize('count', [1, 5, 15])
def test_a_video_shorter_than_a_clip_repeats_its_last_frame(tmp_path, test_mode, count):
    write_frames(tmp_path / 'short.mp4', greys := list(range(20, 20 + 10 * count, 10)))
    path = write_list(tmp_path / 'list.txt', ['short.mp4'])
    pipeline = [PIPELINE[0], dict(PIPELINE[1], test_mode=test_mode, out_of_bound_opt='repeat_last'), *PIPELINE[2:]]
    init_default_scope('mmaction')
    dataset = ClipDataset(str(path), pipeline=pipeline, data_prefix=dict(video=str(tmp_path)), test_mode=test_mode)
    levels = dataset[0]['inputs'].float().mean(dim=(0, 1, 3, 4))
    expected = [*greys, *[greys[-1]] * (16 - count)]
    np.testing.assert_allclose(levels, expected, atol=2)


@pytest.mark.parametrize('name', ['truncated', 'empty', 'text', 'absent'])
def test_in_training_a_broken_video_is_counted_named_and_replaced(videos, broken, name, monkeypatch):
    shutil.copy(videos / 'train/00001.mp4', broken / 'good.mp4')
    said = []
    monkeypatch.setattr('hiera_mm.datasets.skip_broken.print_log', lambda text, **_: said.append(text))
    dataset = clips(write_list(broken / 'list.txt', [f'{name}.mp4', 'good.mp4']), broken, max_broken=1.0)
    assert dataset[0]['data_samples'].gt_label.item() == 1
    assert said and 'Skipped, 1 of 1 so far: ' in said[0] and f"{name}.mp4'" in said[0]


@pytest.mark.parametrize('name', ['truncated', 'empty', 'text', 'absent'])
def test_in_testing_a_broken_video_is_an_error_that_names_it(broken, name):
    dataset = clips(write_list(broken / 'list.txt', [f'{name}.mp4']), broken, test_mode=True)
    with pytest.raises(BrokenFileError, match=f"{name}.mp4'"):
        dataset[0]


def test_training_stops_when_too_many_videos_are_broken(videos, broken):
    shutil.copy(videos / 'train/00001.mp4', broken / 'good.mp4')
    dataset = clips(write_list(broken / 'list.txt', ['good.mp4'] * 3 + ['empty.mp4']), broken, max_broken=0.2)
    np.random.seed(0)
    with pytest.raises(
        UserError, match=r"\d+ of the 2\d videos tried from '.*list.txt' can't be read, more than max_bro"
    ):
        for index in list(range(4)) * 10:
            dataset[index]


def test_lists_may_have_spaces_in_paths_and_empty_lines(tmp_path):
    (tmp_path / 'list.txt').write_text('playing guitar/a b.mp4 12\n\nx.mp4 0\n')
    assert read_video_list(tmp_path / 'list.txt') == [('playing guitar/a b.mp4', 12), ('x.mp4', 0)]


@pytest.mark.parametrize(
    'content, said',
    [
        ('a.mp4\n', "Line 1 of the video list '.*' is 'a.mp4'; each line must be a path, a space and the number"),
        ('a.mp4 0\nb.mp4 running\n', "Line 2 of the video list '.*' is 'b.mp4 running'"),
        ('\n', 'is empty; make one with hiera-mm make-video-list'),
    ],
)
def test_a_list_with_a_fault_is_refused_with_its_line(tmp_path, content, said):
    (tmp_path / 'list.txt').write_text(content)
    with pytest.raises(UserError, match=said):
        read_video_list(tmp_path / 'list.txt')


def test_a_missing_list_is_named():
    with pytest.raises(
        UserError, match="The video list 'nowhere.txt' does not exist; make one with hiera-mm make-video-l"
    ):
        read_video_list('nowhere.txt')


def test_the_motion_set_has_every_class_alike_and_is_the_same_each_time(videos, tmp_path):
    labels = [label for _, label in read_video_list(videos / 'train.txt')]
    assert [labels.count(label) for label in range(len(MOTIONS))] == [2] * 6
    make_motion_shapes(tmp_path / 'again', train=12, val=6, seed=3)
    for name, _ in read_video_list(videos / 'train.txt'):
        first, second = open_video(videos / name), open_video(tmp_path / 'again' / name)
        assert len(first) == 20
        assert all(np.array_equal(a, b) for a, b in zip(first.frames(range(20)), second.frames(range(20)), strict=True))


def test_shapes_move_as_their_class_says(tmp_path):
    """The brightest pixels' centre goes the way the class names, where nothing wraps around."""
    make_motion_shapes(tmp_path / 'set', train=60, val=6, seed=1)
    seen = set()
    for name, label in read_video_list(tmp_path / 'set/train.txt'):
        first, later = (frame.max(axis=2) > 150 for frame in open_video(tmp_path / 'set' / name).frames([8, 10]))
        if any(mask[[0, -1]].any() or mask[:, [0, -1]].any() for mask in (first, later)):
            continue
        shift = np.argwhere(later).mean(axis=0) - np.argwhere(first).mean(axis=0)
        wanted = dict(left=(0, -1), right=(0, 1), up=(-1, 0), down=(1, 0)).get(MOTIONS[label], (0, 0))
        assert np.abs(shift / 7 - wanted).max() < 0.5, name
        if MOTIONS[label] == 'growing' and abs(later.sum() - first.sum()) < 600:
            assert later.sum() > first.sum()
        seen.add(MOTIONS[label])
    assert len(seen) >= 5
