"""hiera-mm train and hiera-mm test on real videos: training, resuming, testing with 15 views, and faults."""

import pickle

from hiera_mm.models import Hiera
from hiera_mm.readers.write_video import write_video
from hiera_mm.synthetic.motions import make_motion_shapes

import cv2
import hiera
import numpy as np
import pytest
import torch
from mmaction.datasets.transforms import FormatShape, Resize, SampleFrames, ThreeCrop

from tests.coded_videos import write_with_pyav
from tests.helpers import ROOT, assert_explained, extract_as_ffmpeg, run_program

TINY_VIDEO = ROOT / 'tests' / 'data' / 'tiny_k400.py'
PARTS = ('train', 'val', 'test')


@pytest.fixture(scope='module')
def lists(real_videos, tmp_path_factory):
    """Options that point the tiny recogniser at the two real videos."""
    path = tmp_path_factory.mktemp('lists') / 'list.txt'
    path.write_text('demo.mp4 0\ndemo_spatiotemporal_det.mp4 1\n')
    return options_for(path, real_videos)


def options_for(path, folder):
    options = [f'{part}_dataloader.dataset.ann_file={path}' for part in PARTS]
    return ['--cfg-options', *options, *(f'{part}_dataloader.dataset.data_prefix.video={folder}' for part in PARTS)]


@pytest.fixture(scope='module')
def checkpoint(lists, tmp_path_factory):
    """Of two epochs on the real videos, the second after resuming."""
    folder = tmp_path_factory.mktemp('runs')
    command = ['train', TINY_VIDEO, '--work-dir', folder]
    run_program(*command, *lists, 'train_cfg.max_epochs=1')
    assert (folder / 'epoch_1.pth').exists()
    run_program(*command, '--resume', *lists, 'train_cfg.max_epochs=2')
    log = max(folder.glob('*/*.log')).read_text()
    assert 'Epoch(train) [2]' in log and 'Epoch(train) [1]' not in log and 'acc/top1' in log
    return folder / 'epoch_2.pth'


def test_a_recogniser_trains_on_real_videos_resumes_and_is_tested_with_bounded_views(
    checkpoint, lists, tmp_path, run_command, monkeypatch
):
    batches, forward = [], Hiera.forward
    monkeypatch.setattr(Hiera, 'forward', lambda self, clip: batches.append(clip.shape) or forward(self, clip))
    out = tmp_path / 'predictions.pkl'
    code, printed = run_command('test', TINY_VIDEO, checkpoint, '--work-dir', tmp_path, '--out', out, *lists)
    assert code == 0, printed
    assert 'acc/top1' in printed
    assert batches == [(5, 3, 16, 224, 224)] * 6, 'two videos of 15 views, five at once'
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == 2
    for sample in predictions:
        assert sample['pred_score'].shape == (400,)
        assert sample['pred_score'].sum().item() == pytest.approx(1, abs=1e-4), 'probabilities, softmax once'


@pytest.mark.slow
def test_metas_classifier_is_tested_as_it_is_and_gives_the_official_probabilities(
    lists, real_videos, tmp_path, run_command
):
    torch.manual_seed(0)
    oracle = hiera.Hiera(
        **dict(embed_dim=16, num_heads=1, stages=(1, 1, 1, 1), num_classes=400, input_size=(16, 224, 224)),
        **dict(q_stride=(1, 2, 2), mask_unit_size=(1, 8, 8), sep_pos_embed=True, head_init_scale=30.0),
        **dict(patch_kernel=(3, 7, 7), patch_stride=(2, 4, 4), patch_padding=(1, 3, 3)),
    ).eval()
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'hiera_16x224.pth')
    out = tmp_path / 'predictions.pkl'
    arguments = ('test', TINY_VIDEO, tmp_path / 'hiera_16x224.pth', '--work-dir', tmp_path, '--out', out)
    code, printed = run_command(*arguments, *lists)
    assert code == 0, printed

    for name, sample in zip(('demo.mp4', 'demo_spatiotemporal_det.mp4'), pickle.loads(out.read_bytes()), strict=True):
        # The videos have 28 and 6 frames a second; a clip is counted at 30.
        extract_as_ffmpeg(real_videos / name, tmp_path / name, 30)
        files = sorted((tmp_path / name).iterdir())
        results = dict(total_frames=len(files), start_index=0, modality='RGB')
        results = SampleFrames(
            clip_len=16, frame_interval=4, num_clips=5, out_of_bound_opt='repeat_last', test_mode=True
        )(results)
        frames = [cv2.imread(str(files[index]))[..., ::-1] for index in results['frame_inds']]
        results.update(imgs=frames, img_shape=frames[0].shape[:2], original_shape=frames[0].shape[:2])
        for step in (Resize(scale=(-1, 224)), ThreeCrop(crop_size=224), FormatShape(input_format='NCTHW')):
            results = step(results)
        clips = (torch.from_numpy(results['imgs']).float() / 255 - 0.45) / 0.225
        assert len(clips) == 15
        with torch.no_grad():
            expected = torch.cat([oracle(clip[None]) for clip in clips]).mean(dim=0)
        torch.testing.assert_close(sample['pred_score'], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('workers', [0, 1])
def test_a_broken_video_stops_testing_with_its_name(checkpoint, real_videos, tmp_path, run_command, workers):
    (tmp_path / 'broken.mp4').write_bytes((real_videos / 'demo.mp4').read_bytes()[:9999])
    (tmp_path / 'list.txt').write_text('broken.mp4 0\n')
    options = [*options_for(tmp_path / 'list.txt', tmp_path), f'test_dataloader.num_workers={workers}']
    options += [f'test_dataloader.persistent_workers={workers > 0}']
    result = run_command('test', TINY_VIDEO, checkpoint, '--work-dir', tmp_path / 'run', *options)
    assert_explained(result, "broken.mp4' is damaged, truncated or not a video")


@pytest.mark.slow
def test_pictures_of_predictions_are_for_detectors(checkpoint, lists, tmp_path, run_command):
    result = run_command('test', TINY_VIDEO, checkpoint, '--work-dir', tmp_path, '--show-dir', tmp_path, *lists)
    assert_explained(result, '--show-dir draws boxes and masks')


def test_training_on_broken_videos_names_them_and_stops(real_videos, tmp_path, run_command):
    for number in range(30):
        (tmp_path / f'{number}.mp4').write_bytes(b'no video')
    (tmp_path / 'train.txt').write_text(''.join(f'{number}.mp4 0\n' for number in range(30)))
    (tmp_path / 'val.txt').write_text('demo.mp4 0\n')
    options = options_for(tmp_path / 'val.txt', real_videos)
    options += [
        f'train_dataloader.dataset.ann_file={tmp_path}/train.txt',
        f'train_dataloader.dataset.data_prefix.video={tmp_path}',
    ]
    # Each worker counts for itself and goes on while another stops the run: one process says it once.
    options += ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
    result = run_command('train', TINY_VIDEO, '--work-dir', tmp_path / 'run', *options)
    assert result[1].count('Skipped, ') == 20
    assert_explained(result, "20 of the 20 videos tried from '", "can't be read, more than max_broken=0.05 allows")


@pytest.mark.slow
def test_two_epochs_of_the_kinetics_recipe_with_validation_and_15_views(tmp_path):
    """Batches, workers, views and schedule as shipped, on generated motions, one of them shorter than a clip."""
    folder = tmp_path / 'motion'
    make_motion_shapes(folder, train=9, val=9)
    lists = ['--cfg-options', *(f'{part}_dataloader.dataset.data_prefix.video={folder}' for part in PARTS)]
    lists += [
        f'{part}_dataloader.dataset.ann_file={folder}/{"train" if part == "train" else "val"}.txt' for part in PARTS
    ]
    write_video(folder / 'val' / '00000.mp4', [np.zeros((64, 64, 3), np.uint8)] * 5, 10)
    work_dir, out = tmp_path / 'run', tmp_path / 'predictions.pkl'
    # In processes of their own, as the workers of earlier loaders would end slowly in this one.
    run_program('train', TINY_VIDEO, '--work-dir', work_dir, *lists, 'train_cfg.max_epochs=2')
    log = next(work_dir.glob('*/*.log')).read_text()
    assert log.count('/2]    acc/top1: ') == 2 and len(list(work_dir.glob('best_acc_top1_epoch_*.pth'))) == 1
    command = ['test', TINY_VIDEO, work_dir / 'epoch_2.pth', '--work-dir', tmp_path / 'test']
    run_program(*command, '--out', out, *lists)
    assert 'acc/top1' in next((tmp_path / 'test').glob('*/*.log')).read_text()
    assert len(pickle.loads(out.read_bytes())) == 9


PHONE = """
_base_ = '{base}'
classes = '{folder}/train.txt.classes'
train_dataloader = dict(
    batch_size=2, dataset=dict(ann_file='{folder}/train.txt', data_prefix=dict(video='{folder}/train'))
)
val_dataloader = dict(dataset=dict(ann_file='{folder}/val.txt', data_prefix=dict(video='{folder}/val')))
test_dataloader = dict(dataset=dict(ann_file='{folder}/val.txt', data_prefix=dict(video='{folder}/val')))
train_cfg = dict(max_epochs=1)
"""


def test_videos_of_phones_in_folders_give_predictions_with_names(run_command, tmp_path):
    """On their side with a rotation in the metadata, of a variable rate, and called .MOV, as docs/video.md has it."""
    times = [*np.arange(30) / 30, *(1 + np.arange(10) / 10)]
    for number, name in enumerate(('train/Clap/1.MOV', 'train/wave/day one/2.MOV', 'val/clap/3.MOV', 'val/clap/4.mov')):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_with_pyav(path.with_suffix('.mov'), times=times, rotation=90 * number)
        path.with_suffix('.mov').rename(path)
    lists = [tmp_path / 'train', tmp_path / 'train.txt', tmp_path / 'val', tmp_path / 'val.txt']
    code, printed = run_command('make-video-list', 'folders', *lists)
    assert code == 1 and 'differ between upper and lower case only' in printed
    (tmp_path / 'train/Clap').rename(tmp_path / 'train/clap')
    assert run_command('make-video-list', 'folders', *lists)[0] == 0
    config = tmp_path / 'mine.py'
    config.write_text(PHONE.format(base=TINY_VIDEO, folder=tmp_path))
    code, printed = run_command('check-data', config, '--videos', 'all')
    assert code == 0, printed
    code, printed = run_command('train', config, '--work-dir', tmp_path / 'run')
    assert code == 0, printed
    checkpoint = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=False)
    assert checkpoint['meta']['dataset_meta']['classes'] == ('clap', 'wave')
    out = tmp_path / 'predictions.pkl'
    arguments = ['--work-dir', tmp_path / 'test', '--out', out]
    code, printed = run_command('test', config, tmp_path / 'run' / 'epoch_1.pth', *arguments)
    assert code == 0 and 'acc/top1' in printed, printed
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == 2 and all(sample['gt_label'].item() == 0 for sample in predictions)
    for sample in predictions:
        assert sample['pred_name'] == ('clap', 'wave')[sample['pred_label'].item()]
