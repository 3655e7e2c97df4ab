"""Clips around annotated seconds: from frames and from videos, as ffmpeg and PySlowFast take them."""

import pickle

from hiera_mm.datasets.ava import AVAClipDataset, AVAKineticsClipDataset
from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.readers.videos import open_video
from hiera_mm.readers.write_video import write_video

import cv2
import numpy as np
import pytest

from tests.helpers import extract_as_ffmpeg

OPEN = [
    dict(type='OpenVideo'),
    dict(type='SampleAroundKeyFrame', clip_len=16, frame_interval=4),
    dict(type='ReadFrames'),
]
LINE = '{},{:04d},0.1,0.2,0.5,0.8,{},0\n'


def dataset(tmp_path, seconds, name='film', kind=AVAClipDataset, pipeline=OPEN, **settings):
    lines = ''.join(LINE.format(name, second, 12) for second in seconds)
    (tmp_path / 'list.csv').write_text(lines)
    return kind(str(tmp_path / 'list.csv'), pipeline, **settings)


def numbered_film(path, count, rate):
    """Frame ``i`` is of the one grey ``i % 85 * 3``."""
    write_video(path, (np.full((32, 32, 3), number % 85 * 3, np.uint8) for number in range(count)), rate)


@pytest.mark.parametrize('rate', [6, 15, 24000 / 1001, 24, 25, 30000 / 1001, 30, 60])
def test_a_video_of_any_rate_gives_the_frames_that_ffmpeg_would_have_extracted(tmp_path, rate):
    (tmp_path / 'videos').mkdir()
    numbered_film(tmp_path / 'videos' / 'film.mp4', round(5 * rate), rate)
    count = extract_as_ffmpeg(tmp_path / 'videos' / 'film.mp4', tmp_path / 'frames' / 'film', 30)
    assert abs(count - 150) <= 5
    seconds = (900, 901, 902, 903)
    videos = dataset(tmp_path, seconds, data_prefix=dict(video=str(tmp_path / 'videos')))
    frames = dataset(tmp_path, seconds, data_prefix=dict(img=str(tmp_path / 'frames')), filename_tmpl='img_{:05}.png')
    assert len(videos) == len(frames) == 4
    for video, folder in zip(videos, frames, strict=True):
        np.testing.assert_array_equal(np.array(video['imgs']), np.array(folder['imgs']))
        assert np.array(video['imgs']).std() > 1


def test_real_videos_give_the_same_frames_as_their_extracted_frames(tmp_path, real_videos):
    for name in ('demo', 'demo_spatiotemporal_det'):
        extract_as_ffmpeg(real_videos / f'{name}.mp4', tmp_path / name, 30)
        videos = dataset(tmp_path, [901, 904, 907], name, data_prefix=dict(video=str(real_videos)))
        frames = dataset(
            tmp_path, [901, 904, 907], name, data_prefix=dict(img=str(tmp_path)), filename_tmpl='img_{:05}.png'
        )
        for video, folder in zip(videos, frames, strict=True):
            np.testing.assert_array_equal(np.array(video['imgs']), np.array(folder['imgs']))


@pytest.mark.parametrize('second', [902, 905, 908])
def test_a_clip_is_pyslowfasts(tmp_path, second):
    """Its get_sequence: frames from half a length before the key frame, which is 30 a second after the first."""
    (tmp_path / 'film').mkdir()
    for number in range(1, 10 * 30 + 1):
        (tmp_path / 'film' / f'img_{number:05d}.jpg').touch()
    data = dataset(tmp_path, [second], data_prefix=dict(img=str(tmp_path)), pipeline=OPEN[:2])
    key, half = (second - 900) * 30, 16 * 4 // 2
    assert data[0]['frame_inds'].tolist() == [min(max(i, 0), 299) for i in range(key - half, key + half, 4)]
    assert data[0]['video_reader'].file(key).name == f'img_{key + 1:05d}.jpg', 'files are numbered from 1'


def test_ends_of_a_short_video_are_repeated(tmp_path):
    numbered_film(tmp_path / 'film.mp4', 12, 30)
    data = dataset(tmp_path, [0], data_prefix=dict(video=str(tmp_path)), timestamp_start=0)
    assert data[0]['frame_inds'].tolist() == [0] * 9 + [4, 8, 11, 11, 11, 11, 11]


def test_seconds_without_frames_are_named_and_skipped_in_training_but_not_in_testing(tmp_path):
    numbered_film(tmp_path / 'film.mp4', 60, 30)
    settings = dict(data_prefix=dict(video=str(tmp_path)), max_broken=0.9)
    said = f"The second 903 is not in '{tmp_path}/film.mp4', whose 60 frames at 30 a second begin at 900"
    with pytest.raises(BrokenFileError, match=said):
        dataset(tmp_path, [903], test_mode=True, **settings)[0]
    with pytest.raises(BrokenFileError, match='The second 899 is not in'):
        dataset(tmp_path, [899], test_mode=True, **settings)[0]
    training = dataset(tmp_path, [901, 903], **settings)
    assert training[1]['timestamp'] == 901
    assert training.broken >= 1


@pytest.mark.parametrize(
    'spoil, said',
    [
        (lambda folder: (folder / 'img_00010.jpg').unlink(), "img_00010.jpg' is missing, though the folder holds 29"),
        (lambda folder: (folder / 'img_00010.jpg').write_bytes(b'x'), "img_00010.jpg' can't be decoded; extract it"),
        (lambda folder: [file.unlink() for file in folder.iterdir()], 'holds no frames named like filename_tmpl='),
        (lambda folder: folder.rename(folder.with_name('away')), "film' does not exist; extract the frames or set"),
    ],
)
def test_faults_of_frame_folders_are_named(tmp_path, spoil, said):
    (tmp_path / 'film').mkdir()
    for number in range(1, 31):
        cv2.imwrite(str(tmp_path / 'film' / f'img_{number:05d}.jpg'), np.zeros((8, 8, 3), np.uint8))
    spoil(tmp_path / 'film')
    pipeline = [OPEN[0], dict(type='SampleAroundKeyFrame', clip_len=30, frame_interval=1), OPEN[2]]
    data = dataset(tmp_path, [900], data_prefix=dict(img=str(tmp_path)), test_mode=True, pipeline=pipeline)
    with pytest.raises(BrokenFileError, match=said):
        data[0]


def test_a_video_is_found_whatever_its_ending(tmp_path):
    (tmp_path / 'film.webm').touch()
    data = dataset(tmp_path, [902], data_prefix=dict(video=str(tmp_path)), pipeline=[])
    assert data[0]['filename'] == str(tmp_path / 'film.webm')
    data = dataset(tmp_path, [902], name='other', data_prefix=dict(video=str(tmp_path)), pipeline=[])
    assert data[0]['filename'] == str(tmp_path / 'other.mp4')


def test_the_real_sample_gives_avas_persons_labels_and_proposals(ava_sample):
    data = AVAClipDataset(
        str(ava_sample / 'ava_sample.csv'),
        [],
        dict(img='frames'),
        label_file=str(ava_sample / 'action_list.txt'),
        proposal_file=str(ava_sample / 'ava_proposals_sample.pkl'),
    )
    assert [(entry['img_key'], entry['frame_dir']) for entry in data] == [
        ('0f39OWEqJ24,0902', 'frames/0f39OWEqJ24'),
        ('0f39OWEqJ24,0903', 'frames/0f39OWEqJ24'),
        ('_-Z6wFjXtGQ,0902', 'frames/_-Z6wFjXtGQ'),
    ]
    last = data[2]
    np.testing.assert_array_equal(last['gt_bboxes'], [[0.063, 0.049, 0.524, 0.996]])
    assert np.flatnonzero(last['gt_labels'][0]).tolist() == [12, 74, 80] and last['gt_labels'].shape == (1, 81)
    np.testing.assert_array_equal(last['scores'], [0.994488, 0.996238])
    assert last['proposals'].shape == (2, 4) and last['timestamp_start'] == 900


def test_without_proposals_the_annotated_persons_are_taken(ava_sample):
    data = AVAClipDataset(str(ava_sample / 'ava_sample.csv'), [], dict(img='frames'))
    np.testing.assert_array_equal(data[0]['proposals'], [[0.031, 0.162, 0.670, 0.995]])


def test_excluded_seconds_are_left_out(ava_sample):
    excluded = str(ava_sample / 'ava_excluded_timestamps_sample.csv')
    data = AVAClipDataset(str(ava_sample / 'ava_sample.csv'), [], dict(img='frames'), exclude_file=excluded)
    assert [entry['img_key'] for entry in data] == ['0f39OWEqJ24,0902']


def test_clips_of_ava_kinetics_begin_where_their_names_say(tmp_path):
    boxes = {'film-of-011,0005': np.array([[0.1, 0.2, 0.5, 0.8, 0.95]])}
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps(boxes))
    settings = dict(data_prefix=dict(img='frames'), proposal_file=str(tmp_path / 'p.pkl'), pipeline=[])
    kind = AVAKineticsClipDataset
    clip = dataset(tmp_path, [5], name='film-of-011_000002_000012', kind=kind, **settings)[0]
    assert (clip['frame_dir'], clip['timestamp_start']) == ('frames/film-of-011_000002_000012', 2)
    np.testing.assert_array_equal(clip['proposals'], [[0.1, 0.2, 0.5, 0.8]])
    film = dataset(tmp_path, [905], name='film-of-011', kind=kind, **settings)[0]
    assert film['timestamp_start'] == 900
    np.testing.assert_array_equal(film['proposals'], [[0, 0, 1, 1]], 'no proposals: the whole frame')


def test_boxes_become_pixels_and_are_kept_as_they_were(tmp_path):
    numbered_film(tmp_path / 'film.mp4', 60, 30)
    pipeline = [*OPEN, dict(type='BoxesToPixels')]
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps({'film,0901': np.array([[0.25, 0.5, 0.75, 1.0, 0.95]])}))
    settings = dict(data_prefix=dict(video=str(tmp_path)), proposal_file=str(tmp_path / 'p.pkl'))
    sample = dataset(tmp_path, [901], pipeline=pipeline, **settings)[0]
    np.testing.assert_allclose(sample['gt_bboxes'], [[3.2, 6.4, 16, 25.6]], rtol=1e-6)
    np.testing.assert_array_equal(sample['proposals'], [[8, 16, 24, 32]])
    np.testing.assert_array_equal(sample['boxes_in_frame'], [[0.25, 0.5, 0.75, 1.0]])


@pytest.mark.parametrize('prefix', [dict(), dict(img='a', video='b'), dict(images='a')])
def test_a_prefix_that_says_neither_frames_nor_videos_is_refused(tmp_path, prefix):
    with pytest.raises(UserError, match=r'AVA data need data_prefix = dict\(img=FOLDER\)'):
        dataset(tmp_path, [902], data_prefix=prefix, pipeline=[])


def test_an_unknown_argument_is_an_error(tmp_path):
    with pytest.raises(TypeError, match='start_second'):
        dataset(tmp_path, [902], data_prefix=dict(img='a'), pipeline=[], start_second=0)


def test_written_videos_keep_rate_count_and_odd_sizes(tmp_path):
    write_video(tmp_path / 'odd.mp4', (np.full((33, 21, 3), 80, np.uint8) for _ in range(7)), 29.97)
    reader = open_video(tmp_path / 'odd.mp4')
    assert len(reader) == 7 and reader.rate == pytest.approx(29.97, abs=0.001)
    assert reader.frames([6])[0].shape == (34, 22, 3)


def test_a_video_that_fails_while_it_is_written_leaves_nothing(tmp_path):
    def frames():
        yield np.zeros((32, 32, 3), np.uint8)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_video(tmp_path / 'film.mp4', frames(), 30)
    assert list(tmp_path.iterdir()) == []


def test_seconds_in_which_nobody_is_annotated_are_tested_where_that_is_asked_for(tmp_path):
    numbered_film(tmp_path / 'film.mp4', 150, 30)
    boxes = np.array([[0.1, 0.1, 0.5, 0.5, 0.99]])
    keys = ('film,0901', 'film,0902', 'film,0903', 'other,0902', 'film,0904')
    (tmp_path / 'proposals.pkl').write_bytes(pickle.dumps(dict.fromkeys(keys, boxes)))
    (tmp_path / 'excluded.csv').write_text('film,0904\n')
    files = dict(
        proposal_file=str(tmp_path / 'proposals.pkl'),
        exclude_file=str(tmp_path / 'excluded.csv'),
        data_prefix=dict(video=str(tmp_path)),
    )
    seconds = {}
    for idle, test_mode in ((False, True), (True, False), (True, True)):
        data = dataset(tmp_path, [902], idle_seconds=idle, test_mode=test_mode, **files)
        seconds[idle, test_mode] = [data.get_data_info(place)['timestamp'] for place in range(len(data))]
    assert seconds == {(False, True): [902], (True, False): [902], (True, True): [902, 901, 903]}
    idle = data[1]
    assert idle['gt_bboxes'].shape == (0, 4) and idle['gt_labels'].shape[0] == 0
    np.testing.assert_allclose(idle['proposals'], boxes[:, :4])


def test_frames_may_be_named_after_the_video_as_pyslowfast_extracts_them(tmp_path):
    (tmp_path / 'film').mkdir()
    for number in range(1, 31):
        cv2.imwrite(str(tmp_path / 'film' / f'film_{number:06d}.jpg'), np.full((8, 8, 3), number, np.uint8))
    settings = dict(filename_tmpl='{video_id}_{:06}.jpg', data_prefix=dict(img=str(tmp_path)))
    data = dataset(tmp_path, [900], **settings)
    assert [frame.mean() for frame in data[0]['imgs']][-2:] == pytest.approx([25, 29], abs=1)
