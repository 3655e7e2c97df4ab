"""Classes of pictures, clips and folders of frames, against what testing gives."""

import pickle

from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.readers.frames import parts_of
from hiera_mm.readers.videos import open_video
from hiera_mm.synthetic.classes import make_class_shapes
from hiera_mm.synthetic.motions import make_motion_shapes
from hiera_mm.tasks import load
from hiera_mm.tasks.classification import Classifier

import cv2
import numpy as np
import pytest
from mmaction.apis.inferencers import MMAction2Inferencer
from PIL import Image

from tests.helpers import ROOT, save_random_weights

CLIPS = str(ROOT / 'configs' / 'k400_hiera_t_shapes.py')
IMAGES = str(ROOT / 'tests' / 'data' / 'tiny_in1k.py')


@pytest.fixture(scope='module')
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'motion'
    make_motion_shapes(folder, train=6, val=6)
    return folder


@pytest.fixture(scope='module')
def clip_weights(tmp_path_factory):
    return save_random_weights(CLIPS, tmp_path_factory.mktemp('weights') / 'clips.pth')


@pytest.fixture
def of_clips(clip_weights):
    return load(clip_weights, device='cpu')


def test_clips_get_the_scores_of_testing(of_clips, clip_weights, films, run_command, tmp_path):
    listed = [line.split()[0] for line in (films / 'val.txt').read_text().splitlines()]
    options = [
        f'test_dataloader.dataset.ann_file={films}/val.txt',
        f'test_dataloader.dataset.data_prefix.video={films}',
    ]
    arguments = [CLIPS, clip_weights, '--work-dir', tmp_path, '--out', tmp_path / 'out.pkl', '--cfg-options', *options]
    code, printed = run_command('test', *arguments)
    assert code == 0, printed
    expected = pickle.loads((tmp_path / 'out.pkl').read_bytes())
    found = of_clips.predict([films / name for name in listed])
    assert len(found) == len(expected) == 6
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours.scores, theirs['pred_score'].numpy(), atol=1e-5)
        assert ours.scores.sum() == pytest.approx(1, abs=1e-5)
        ((name, score),) = ours.top(1)
        assert (name, score) == (of_clips.names[theirs['pred_label'].item()], pytest.approx(ours.scores.max()))
    assert np.ptp([ours.scores for ours in found], axis=0).max() > 1e-4, 'clips differ'


@pytest.mark.parametrize('template', ['img_{:05d}.png', '{:d}.png', 'clip7_frame{:03d}.png'])
def test_a_folder_of_frames_gives_what_the_video_gives(of_clips, films, tmp_path, template):
    video = films / (films / 'val.txt').read_text().split()[0]
    reader = open_video(video)
    for number, frame in enumerate(reader.frames(range(len(reader))), start=3):
        cv2.imwrite(str(tmp_path / template.format(number)), frame[..., ::-1])
    found = of_clips.predict(tmp_path, rate=reader.rate)
    np.testing.assert_allclose(found.scores, of_clips.predict(video).scores, atol=1e-6)


@pytest.mark.parametrize('names', ['1.png 3.png', 'a1.png b2.png', '1.png cover.png', '1.png 2.jpg'])
def test_folders_that_are_no_clip_are_told(of_clips, tmp_path, names):
    for name in names.split():
        cv2.imwrite(str(tmp_path / name), np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(BrokenFileError, match='are not the frames of one video, numbered without a gap'):
        of_clips.predict(tmp_path)


def test_mmactions_own_inferencer_goes_on_working(of_clips, clip_weights, films):
    video = films / (films / 'val.txt').read_text().split()[0]
    inferencer = MMAction2Inferencer(rec=CLIPS, rec_weights=clip_weights, device='cpu', input_format='video')
    found = inferencer(str(video))['predictions'][0]['rec_scores'][0]
    np.testing.assert_allclose(found, of_clips.predict(video).scores, atol=1e-5)


def test_a_model_of_clips_takes_no_arrays(of_clips):
    with pytest.raises(UserError, match='A model of clips takes paths of videos or of folders with frames'):
        of_clips.predict(np.zeros((64, 64, 3), np.uint8))


def test_pictures_as_files_and_arrays_get_the_scores_of_testing(run_command, tmp_path):
    make_class_shapes(tmp_path / 'images', train=3, val=6)
    weights = save_random_weights(IMAGES, tmp_path / 'images.pth')
    folder = f'test_dataloader.dataset.data_root={tmp_path}/images'
    arguments = [IMAGES, weights, '--work-dir', tmp_path, '--out', tmp_path / 'out.pkl', '--cfg-options', folder]
    code, printed = run_command('test', *arguments)
    assert code == 0, printed
    expected = [sample['pred_score'].numpy() for sample in pickle.loads((tmp_path / 'out.pkl').read_bytes())]
    classifier = load(weights, device='cpu')
    assert isinstance(classifier, Classifier)
    files = sorted((tmp_path / 'images' / 'val').rglob('*.png'))
    for given in (files, [Image.open(path) for path in files], [np.array(Image.open(path)) for path in files]):
        found = [one.scores for one in classifier.predict(given)]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(BrokenFileError, match="none.png' does not exist"):
        classifier.predict(tmp_path / 'none.png')


def write_frames(folder, frames):
    folder.mkdir()
    for number, frame in enumerate(frames):
        cv2.imwrite(str(folder / f'{number:05d}.png'), frame[..., ::-1])
    return folder


def test_windows_along_a_video_are_classified_as_videos_of_their_own(of_clips, films, tmp_path):
    names = (films / 'val.txt').read_text().split()[::2][:2]
    readers = [open_video(films / name) for name in names]
    parts = [reader.frames(range(len(reader))) for reader in readers]
    film = write_frames(tmp_path / 'film', [*parts[0], *parts[1]])
    rate = readers[0].rate
    length = len(parts[0]) / rate
    found = list(of_clips.predict_windows(film, length, length, rate))
    assert [(start, end) for start, end, _ in found] == [
        (0, pytest.approx(length)),
        (length, pytest.approx(2 * length)),
    ]
    for part, (_, _, classes), name in zip(parts, found, 'ab', strict=True):
        alone = of_clips.predict(write_frames(tmp_path / name, part), rate=rate)
        np.testing.assert_allclose(classes.scores, alone.scores, atol=1e-6)
    assert np.abs(found[0][2].scores - found[1][2].scores).max() > 1e-5


@pytest.mark.parametrize(
    ('length', 'stride', 'starts'),
    [(10, 10, [0, 10]), (10, 5, [0, 5, 10]), (30, 1, [0]), (4, 9, [0, 9, 18]), (25, 5, [0])],
)
def test_windows_cover_a_video_and_none_begins_behind_what_another_ends_with(length, stride, starts):
    reader = type('Reader', (), dict(duration=20.0))()
    assert [start for start, _ in parts_of(reader, length, stride)] == starts


def test_the_command_writes_a_row_for_each_window(run_command, clip_weights, films, tmp_path):
    video = films / (films / 'val.txt').read_text().split()[0]
    duration = open_video(video).duration
    options = ['--window', duration / 2, '--stride', duration / 4, '--topk', 1]
    code, printed = run_command('predict', clip_weights, video, '--out-dir', tmp_path / 'out', *options)
    assert code == 0, printed
    rows = (tmp_path / 'out' / 'predictions.csv').read_text().splitlines()
    assert rows[0] == 'file,start,end,class_1,score_1' and len(rows) == 1 + 3
    assert [float(row.split(',')[1]) for row in rows[1:]] == pytest.approx([0, duration / 4, duration / 2], abs=1e-5)
    code, printed = run_command('predict', clip_weights, video, '--out-dir', tmp_path / 'other', '--stride', 1)
    assert code != 0 and 'set their length as well: --window' in printed
