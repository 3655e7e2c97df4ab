"""Clips of videos: repeated, short and broken ones, at the rate of the recipe, and lists."""

import shutil

from hiera_mm.config import read_config_file
from hiera_mm.datasets.video import ClipDataset, SampleFramesByTime
from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.readers.labelled_lists import read_video_list
from hiera_mm.readers.videos import VideoFile, open_video
from hiera_mm.synthetic.motions import MOTIONS, make_motion_shapes

import av
import numpy as np
import psutil
import pytest
import torch
from mmaction.datasets import VideoDataset
from mmaction.datasets.transforms import SampleFrames
from mmengine.registry import DATASETS, init_default_scope

from tests.helpers import MadeUpFilm

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


def write_frames(path, greys, options=None, side=64):
    """A video whose frames are grey levels, losslessly enough to tell them apart."""
    with av.open(str(path), 'w') as container:
        stream = container.add_stream('libx264', rate=10, options=dict(crf='1', threads='1') | (options or {}))
        stream.width = stream.height = side
        stream.pix_fmt = 'yuv420p'
        for grey in greys:
            frame = np.full((side, side, 3), grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format='rgb24')))
        container.mux(stream.encode())


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


def sampled(film, seed=0, **options):
    """Places of the frames of clips of 16 frames of every fourth."""
    np.random.seed(seed)
    step = SampleFramesByTime(clip_len=16, frame_interval=4, **options)
    results = step(dict(video_reader=film, total_frames=len(film), avg_fps=film.rate, start_index=0))
    return results['frame_inds'].reshape(-1, 16)


@pytest.mark.parametrize('test_mode, num_clips', [(False, 1), (True, 1), (True, 5)])
@pytest.mark.parametrize('count', [1, 20, 64, 65, 300])
def test_at_the_recipes_rate_clips_are_those_that_mmaction2_counts(test_mode, num_clips, count):
    film = MadeUpFilm(count, rate=30)
    theirs = SampleFrames(16, 4, num_clips, out_of_bound_opt='repeat_last', test_mode=test_mode)
    for seed in range(5):
        np.random.seed(seed)
        expected = theirs(dict(total_frames=count, start_index=0))['frame_inds']
        assert sampled(film, seed, test_mode=test_mode, num_clips=num_clips).ravel().tolist() == expected.tolist()


@pytest.mark.parametrize('rate', [10, 24, 25, 29.97, 50, 60, 120])
def test_a_clip_spans_the_same_time_at_any_rate(rate):
    film = MadeUpFilm(int(10 * rate), rate=rate)
    seconds = film.times[sampled(film, test_mode=True, num_clips=5)]
    np.testing.assert_allclose(np.diff(seconds, axis=1), 4 / 30, atol=1 / rate + 1e-6)
    np.testing.assert_allclose(seconds[:, -1] - seconds[:, 0], 2, atol=1 / rate + 1e-6)
    assert seconds[-1, -1] > 9.8


def test_a_clip_of_a_variable_rate_takes_the_frames_that_are_shown(tmp_path):
    film = MadeUpFilm(100)
    film.times = np.concatenate([np.arange(60) / 30, 2 + np.arange(40) / 10])
    film.duration = 6.0
    (clip,) = sampled(film, test_mode=True)
    # From 1.983 s on, as the clip lies in the middle of 6 s.
    ticks = 59 + 4 * np.arange(16)
    expected = [tick if tick < 60 else 60 + (tick - 60) // 3 for tick in ticks]
    assert clip.tolist() == expected


def test_all_clips_of_a_video_are_read_in_one_pass_and_are_its_frames(videos, monkeypatch):
    reads = []
    read = VideoFile.frames
    monkeypatch.setattr(VideoFile, 'frames', lambda self, *given: reads.append(len(given[0])) or read(self, *given))
    samples = clips(videos / 'train.txt', videos, num_repeats=4)[3]
    assert len(reads) == 1 and 16 < reads[0] <= 20, 'the videos have 20 frames'
    name, _ = read_video_list(videos / 'train.txt')[3]
    whole = np.array(open_video(videos / name).frames(range(20)))
    for sample in samples:
        clip = sample['inputs'][0].permute(1, 2, 3, 0).numpy()
        assert any(np.array_equal(clip, whole[begin : begin + 16]) for begin in range(5))


def test_clips_equal_those_of_mmaction2s_own_decoding(videos):
    ours = clips(videos / 'val.txt', videos, test_mode=True)
    pipeline = [dict(type='PyAVInit'), dict(PIPELINE[1], test_mode=True), dict(type='PyAVDecode'), *PIPELINE[3:]]
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
        ('a.mp4\n', "Line 1 of the video list '.*' is 'a.mp4'; each line must be a path, a space and a class number"),
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


@pytest.mark.parametrize('side', [224, 320])
def test_frames_that_are_resized_when_they_are_read_are_those_that_are_resized_afterwards(real_videos, tmp_path, side):
    path = write_list(tmp_path / 'list.txt', ['demo.mp4'])
    read = []
    for options in ({}, dict(short_side=side)):
        steps = [PIPELINE[0], PIPELINE[1], dict(type='ReadFrames', **options), dict(type='Resize', scale=(-1, side))]
        init_default_scope('mmaction')
        settings = dict(pipeline=[*steps, *PIPELINE[3:]], data_prefix=dict(video=str(real_videos)), num_repeats=2)
        np.random.seed(0)
        read.append([sample['inputs'] for sample in ClipDataset(str(path), **settings)[0]])
    for one, other in zip(*read, strict=True):
        assert one.shape[-2] == side and torch.equal(one, other)


@pytest.mark.slow
def test_hundreds_of_clips_of_large_videos_hold_no_more_memory_than_a_few(tmp_path):
    write_frames(tmp_path / 'large.mp4', list(range(20, 220)), dict(g='50'), side=1080)
    path = write_list(tmp_path / 'list.txt', ['large.mp4'])
    config = read_config_file('k400_hiera_b.py').train_dataloader.dataset
    config.update(ann_file=str(path), data_prefix=dict(video=str(tmp_path)))
    init_default_scope('mmaction')
    dataset = DATASETS.build(config)
    held, before = [], psutil.Process().memory_info().rss
    for _ in range(60):
        dataset[0]
        held.append(psutil.Process().memory_info().rss)
    assert max(held) - before < 0.4 * 2**30
    assert np.median(held[-10:]) < 1.02 * np.median(held[10:20])
