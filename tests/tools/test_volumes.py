"""Volumes by the suite's commands: check, train, test, predict, publish, report; and their autoencoder."""

import csv
import importlib.util
import json
import pickle
import subprocess
import sys

from hiera_mm.config import read_config_file
from hiera_mm.synthetic.volumes import NAMES, draw_volume, make_volume_shapes
from hiera_mm.tasks import load

import nibabel
import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import ROOT, assert_explained, forget_earlier_runs, losses_of
from tests.volume_files import flipped, save, write_list

TINY = ROOT / 'tests' / 'data' / 'tiny_unetr.py'


@pytest.fixture(scope='module')
def volumes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'volumes'
    make_volume_shapes(folder, train=2, val=2)
    return folder


def options(volumes, *more, parts=('train', 'val', 'test')):
    return ['--cfg-options', *(f'{part}_dataloader.dataset.data_root={volumes}' for part in parts), *more]


@pytest.fixture
def trained(run_command, volumes, tmp_path):
    """The folder of a run."""
    code, printed = run_command('train', TINY, '--work-dir', tmp_path / 'run', *options(volumes))
    assert code == 0, printed
    assert 'Dice_tube' in printed
    return tmp_path / 'run'


def test_from_training_to_every_use(run_command, trained, volumes, tmp_path):
    """One run for all, as each use needs a trained model."""
    (best,) = trained.glob('best_Dice_epoch_2.pth')
    out = tmp_path / 'predictions.pkl'
    code, printed = run_command('test', TINY, best, '--work-dir', tmp_path / 'test', '--out', out, *options(volumes))
    assert code == 0, printed
    dice = float(printed.split('Dice: ')[-1].split()[0])
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == 2 and predictions[0]['predicted'].shape == (1, 40, 72, 72)

    code, printed = run_command(
        'predict', trained, volumes / 'images', volumes / 'labels/val_001.nii.gz', '--out-dir', tmp_path / 'found'
    )
    assert code == 0 and '5 of 5 inputs' in printed, printed
    rows = {row['file']: row for row in csv.DictReader((tmp_path / 'found/predictions.csv').open())}
    each = []
    for number in (1, 2):
        name = f'images/val_{number:03d}.nii.gz'
        found = nibabel.load(tmp_path / 'found/masks' / name)
        truth = nibabel.load(volumes / f'labels/val_{number:03d}.nii.gz')
        np.testing.assert_array_equal(found.affine, truth.affine)
        labels, right = np.asarray(found.dataobj), np.asarray(truth.dataobj)
        each += [2 * ((labels == c) & (right == c)).sum() / ((labels == c).sum() + (right == c).sum()) for c in (1, 2)]
        assert float(rows[name]['tube']) == pytest.approx((labels == 2).sum() * 4.5e-3, abs=1e-3)
    # Voxels of the generated volumes have the config's spacing, so both are of the same.
    assert np.mean(each) == pytest.approx(dice, abs=1e-3)

    code, printed = run_command('publish', trained, tmp_path / 'published')
    assert code == 0, printed
    described = json.loads((tmp_path / 'published/hiera_mm.json').read_text())
    assert described['task'] == 'volume-segmentation' and described['classes'] == list(NAMES)
    assert described['metrics']['Dice'] == pytest.approx(dice, abs=1e-4)
    # Of what somebody else published nothing is executed, and it is used without --config.
    again = load(str(tmp_path / 'published')).predict(volumes / 'images/val_002.nii.gz')
    np.testing.assert_array_equal(again.labels, labels)

    forget_earlier_runs()
    code, printed = run_command('report', trained)
    assert code == 0 and 'Dice_ellipsoid' in (trained / 'report.html').read_text(), printed

    assert_explained(
        run_command('export', trained, tmp_path / 'model.onnx'), 'segmentors of volumes', "can't be exported"
    )
    assert_explained(run_command('serve', trained), 'takes volumes', 'predict')
    assert_explained(
        run_command('predict', trained, volumes, '--topk', 3), '--topk', 'one of the segmentors of volumes'
    )


def test_modalities_in_files_of_their_own_from_training_to_predictions(run_command, tmp_path):
    """Two modalities, of which the second is stored from the other side, as nnU-Net names them; used by folder and by
    list."""
    random, folder = np.random.default_rng(0), tmp_path / 'set'
    entries = []
    for number in range(3):
        image, labels = draw_volume(random)
        other = (200 - image + random.normal(0, 10, image.shape)).clip(1).astype(np.int16)
        files = [f'images/{number}_0000.nii.gz', f'images/{number}_0001.nii.gz']
        save(folder / files[0], image)
        save(folder / files[1], *flipped(other))
        save(folder / f'labels/{number}.nii.gz', labels)
        entries.append(dict(fold=number % 3, image=files, label=f'labels/{number}.nii.gz'))
    names = {str(number): name for number, name in enumerate(NAMES)}
    listed = write_list(folder / 'folds.json', labels=names, training=entries, test=[dict(image=files)])
    config = tmp_path / 'two.py'
    config.write_text(f"""_base_ = '{TINY}'
data_root = '{folder}/'
train_ann_file = val_ann_file = 'folds.json'
fold = 2
channels = 2
intensity_range = [(-175, 250), 'zscore']
""")
    code, printed = run_command('check-data', config, '--videos', 'all')
    assert code == 0 and '0 faults' in printed, printed
    code, printed = run_command('train', config, '--work-dir', tmp_path / 'run')
    assert code == 0 and 'Dice_tube' in printed, printed
    losses = losses_of(tmp_path / 'run')
    assert len(losses) == 2 and np.isfinite(losses).all()

    code, printed = run_command('predict', tmp_path / 'run', folder / 'images', '--out-dir', tmp_path / 'found')
    assert code == 0 and '3 of 3 inputs' in printed, printed
    masks = tmp_path / 'found' / 'masks'
    assert sorted(path.name for path in masks.iterdir()) == ['0.nii.gz', '1.nii.gz', '2.nii.gz']
    for number in range(3):
        mask = nibabel.load(masks / f'{number}.nii.gz')
        image = nibabel.load(folder / entries[number]['image'][0])
        assert mask.shape == image.shape
        np.testing.assert_array_equal(mask.affine, image.affine)
    code, printed = run_command('predict', tmp_path / 'run', listed, '--out-dir', tmp_path / 'again')
    assert code == 0 and '1 of 1 inputs' in printed, printed
    again = nibabel.load(tmp_path / 'again/masks/2.nii.gz')
    np.testing.assert_array_equal(np.asarray(again.dataobj), np.asarray(nibabel.load(masks / '2.nii.gz').dataobj))

    code, printed = run_command('publish', tmp_path / 'run', tmp_path / 'published')
    assert code == 0, printed
    (found,) = load(str(tmp_path / 'published')).predict([tuple(folder / name for name in files)])
    np.testing.assert_array_equal(found.labels, np.asarray(again.dataobj))

    alone = folder / 'images/0_0001.nii.gz'
    code, printed = run_command('predict', tmp_path / 'run', alone, '--out-dir', tmp_path / 'alone')
    assert code == 1 and 'has 1 channel, but the model takes 2' in printed and 'CASE_0000.nii.gz' in printed, printed


def test_a_rehearsal_of_several_channels_draws_its_own_data(run_command, tmp_path):
    config = tmp_path / 'two.py'
    config.write_text(f"_base_ = '{TINY}'\ndata_root = '{tmp_path}/none/'\nchannels = 2\nintensity_range = 'zscore'\n")
    code, printed = run_command('rehearse', config, '--tiny', '--work-dir', tmp_path / 'rehearsed')
    assert code == 0, printed


@pytest.mark.slow
def test_half_precision_learns(run_command, volumes, tmp_path):
    code, printed = run_command('train', TINY, '--amp', '--work-dir', tmp_path / 'run', *options(volumes))
    assert code == 0, printed
    losses = losses_of(tmp_path / 'run')
    assert len(losses) == 2 and losses[-1] < losses[0]


def test_a_segmentor_starts_from_an_autoencoder_of_unlabelled_volumes(run_command, volumes, tmp_path):
    config = tmp_path / 'mae.py'
    config.write_text(f"""_base_ = 'hiera_mm::mae_hiera_t_volumes.py'
data_root = '{volumes}/'
train_ann_file = 'dataset.json'
crop_size = (64, 64, 32)
epochs = 2
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)), num_frames=32, pos_embed_size=16
    ),
    decoder_embed_dim=32, decoder_depth=1, decoder_num_heads=2,
)
train_dataloader = dict(num_workers=0, persistent_workers=False)
default_hooks = dict(logger=dict(interval=1))
""")
    code, printed = run_command('check-data', config)
    assert code == 0 and '0 faults' in printed, printed
    code, printed = run_command('train', config, '--work-dir', tmp_path / 'mae')
    assert code == 0, printed
    assert all(0 < loss < 3 for loss in losses_of(tmp_path / 'mae'))
    volume = volumes / 'images/val_001.nii.gz'
    code, printed = run_command('predict', tmp_path / 'mae/epoch_2.pth', volume, '--out-dir', tmp_path)
    assert code == 0, printed
    picture = np.asarray(Image.open(next(tmp_path.glob('*_mae.png'))))
    original, masked, filled = (picture[:64, start : start + 64] for start in (0, 68, 136))
    # Sixteen of 32 slices, the first as the config prepares it: Hounsfield units of -175 to 250, the middle cut out.
    assert picture.shape == (16 * 68 - 4, 3 * 68 - 4, 3)
    voxels = np.asarray(nibabel.as_closest_canonical(nibabel.load(volume)).dataobj)[4:68, 4:68, 4].T
    expected = np.clip((voxels + 175) / 425, 0, 1) * 255
    assert np.abs(original[..., 0] - expected).max() <= 1 and (original == original[..., :1]).all()
    assert (masked != original).any() and (filled != masked).any()

    key = 'model.backbone.init_cfg'
    begin = (f'{key}._delete_=True', f'{key}.type=Pretrained', f'{key}.checkpoint={tmp_path}/mae/epoch_2.pth')
    code, printed = run_command(
        'train', TINY, '--work-dir', tmp_path / 'run', *options(volumes, 'train_cfg.max_epochs=1', *begin)
    )
    assert code == 0 and f'Hiera weights from {tmp_path}/mae/epoch_2.pth (format hiera_mm' in printed, printed
    assert 'position embedding: as in the file' in printed


@pytest.mark.slow
def test_windows_and_lengths_are_told_in_a_plan(run_command):
    code, printed = run_command('plan', ROOT / 'configs/unetr_hiera_t_shapes.py')
    assert code == 0 and 'decoder' in printed and 'On 1 of 24 GiB: --amp' in printed, printed


def test_without_monai_a_sentence_names_it(run_command, monkeypatch, volumes):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, 'find_spec', lambda name, *more: None if name == 'monai' else find_spec(name, *more)
    )
    assert_explained(run_command('train', TINY, *options(volumes)), 'monai', 'hiera_mm[volumes]')


@pytest.mark.slow
def test_importing_the_suite_does_not_import_monai():
    """It takes seconds, and few need it."""
    program = 'import sys, hiera_mm.registration, hiera_mm.tasks; sys.exit("monai" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', program], check=False).returncode == 0


def test_the_memory_of_a_step_is_about_what_it_takes():
    """Counted by the same tensors as other tasks' (tests/engine/test_training_memory.py); here that none is missed."""
    from hiera_mm.engine.training_memory import training_memory
    from hiera_mm.tasks import task_of

    config = read_config_file(str(TINY))
    from mmengine.registry import init_default_scope

    init_default_scope(config.default_scope)
    memory = training_memory(config, task_of(config), (64, 64), autocast=False, with_cp=False)
    voxels = 32 * 64 * 64
    # Ten maps of 2 channels at full resolution at least, and the logits with their softmax and truth.
    assert memory.per_sample > (10 * 2 + 3 * 3) * voxels * torch.float32.itemsize
