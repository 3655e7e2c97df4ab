"""From unlabelled images to a detector and a classifier through the tools, and pictures of what is filled in."""

import json
import pickle

from hiera_mm.synthetic.classes import make_class_shapes
from hiera_mm.synthetic.motions import make_motion_shapes

import hiera
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from tests.helpers import OFFICIAL_PREPARATION, ROOT, TINY, assert_explained, losses_of, run_program, shapes_options

TINY_MAE = ROOT / 'tests' / 'data' / 'tiny_mae.py'
MOTION_MAE = ROOT / 'configs' / 'mae_hiera_t_k400_shapes.py'
TINY_CLIPS = ['model.backbone.arch.depths=[1,1,1,1]', 'model.backbone.arch.embed_dim=16', 'model.decoder_depth=1']


@pytest.fixture(scope='module')
def pretrained(shapes, tmp_path_factory):
    """Work folder of two epochs of masked autoencoding, the second after resuming."""
    folder = tmp_path_factory.mktemp('runs') / 'mae'
    command = ['train', TINY_MAE, '--work-dir', folder]
    options = ['--cfg-options', f'train_dataloader.dataset.data_root={shapes}']
    run_program(*command, *options, 'train_cfg.max_epochs=1')
    run_program(*command, '--resume', *options)
    return folder


def test_pretraining_learns_without_labels_and_resumes(pretrained):
    first, second = sorted(pretrained.glob('*/vis_data/scalars.json'))
    losses = [json.loads(line)['loss'] for log in (first, second) for line in log.read_text().splitlines()]
    assert len(losses) == 4, 'two batches of four images an epoch'
    assert all(0 < loss < 3 for loss in losses)
    assert (pretrained / 'epoch_2.pth').exists()


def test_a_detector_starts_from_it_through_init_cfg_with_a_report(pretrained, shapes, tmp_path, run_command):
    backbone = 'model.backbone'
    options = [
        f'{backbone}.init_cfg._delete_=True',
        f'{backbone}.init_cfg.type=Pretrained',
        f'{backbone}.pos_embed_size=16',
    ]
    options.append(f'{backbone}.init_cfg.checkpoint={pretrained}/epoch_2.pth')
    arguments = ('train', TINY, '--work-dir', tmp_path, *shapes_options(shapes), *options)
    code, printed = run_command(*arguments, 'train_cfg.max_iters=1', 'train_cfg.val_interval=1')
    assert code == 0, printed
    assert f'Hiera weights from {pretrained}/epoch_2.pth (format hiera_mm' in printed
    assert '26 of the masked autoencoder' in printed and 'position embedding: as in the file' in printed
    assert "left as initialised, as the file does not hold them: 8 keys ('out_norms.0.bias'" in printed
    assert 'coco/bbox_mAP' in printed


def test_load_from_takes_encoder_and_decoder_of_metas_autoencoder(shapes, tmp_path, run_command):
    torch.save(dict(model_state=official_autoencoder().state_dict()), tmp_path / 'mae_hiera.pth')
    options = [f'train_dataloader.dataset.data_root={shapes}', f'load_from={tmp_path}/mae_hiera.pth']
    code, printed = run_command(
        *('train', TINY_MAE, '--work-dir', tmp_path / 'run', '--cfg-options', *options, 'train_cfg.max_epochs=1')
    )
    assert code == 0, printed
    assert 'Hiera weights from' in printed and '(format meta' in printed
    assert 'not in the file, so left as initialised: no keys.' in printed


def official_autoencoder():
    torch.manual_seed(0)
    small = dict(embed_dim=16, num_heads=1, stages=(1, 1, 1, 1), q_pool=2, input_size=(64, 64))
    return hiera.MaskedAutoencoderHiera(**small, decoder_embed_dim=32, decoder_depth=1, decoder_num_heads=2)


def test_pictures_show_the_original_what_is_seen_and_the_official_reconstruction(shapes, tmp_path, run_command):
    oracle = official_autoencoder()
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'mae_hiera.pth')
    image = tmp_path / 'picture.png'
    with Image.open(next((shapes / 'val').glob('*.png'))) as drawn:
        drawn.resize((64, 64)).save(image)
    arguments = ('predict', tmp_path / 'mae_hiera.pth', image, '--config', TINY_MAE, '--device', 'cpu')
    code, printed = run_command(*arguments, '--out-dir', tmp_path / 'out', '--seed', '3')
    assert code == 0, printed
    with Image.open(tmp_path / 'out' / 'picture_mae.png') as written:
        picture = np.asarray(written)
    assert picture.shape == (64, 3 * 64 + 2 * 4, 3)
    original, masked, filled = picture[:, :64], picture[:, 68:132], picture[:, 136:]
    with Image.open(image) as drawn:
        assert np.array_equal(original, np.asarray(drawn))

    units = masked.reshape(2, 32, 2, 32, 3)
    seen = torch.tensor([[(units[row, :, column] != [124, 116, 104]).any() for column in range(2)] for row in range(2)])
    assert seen.sum() == 1, '60 % of four units are masked'
    pixels = torch.from_numpy(original.copy()).permute(2, 0, 1).float()
    mean, deviation = (torch.tensor(x)[:, None, None] for x in ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]))
    with torch.no_grad():
        loss, predicted, labels, _ = oracle(((pixels - mean) / deviation)[None], mask=seen.reshape(1, -1))
    assert f'picture_mae.png: loss {loss:.3f} on masked patches' in printed
    # Places of 16 x 16 pixels in reading order; each gets the mean and deviation that were taken from it.
    places = ((pixels - mean) / deviation).unfold(1, 16, 16).unfold(2, 16, 16).permute(1, 2, 0, 3, 4).reshape(16, -1)
    hidden = ~seen.repeat_interleave(2, 0).repeat_interleave(2, 1).reshape(-1)
    expected = predicted * places[hidden].std(dim=1, keepdim=True) + places[hidden].mean(dim=1, keepdim=True)
    drawn = ((torch.from_numpy(filled.copy()).permute(2, 0, 1).float() - mean) / deviation).unfold(1, 16, 16)
    drawn = drawn.unfold(2, 16, 16).permute(1, 2, 0, 3, 4).reshape(16, -1)
    low, high = (((bound - mean) / deviation).expand(3, 16, 16).reshape(-1) for bound in (0, 255))
    torch.testing.assert_close(drawn[hidden], expected.clamp(low, high), rtol=0, atol=0.6 / 57)
    row, column = seen.nonzero()[0].tolist()
    assert np.array_equal(
        filled.reshape(2, 32, 2, 32, 3)[row, :, column], original.reshape(2, 32, 2, 32, 3)[row, :, column]
    )


def test_a_clip_is_pretrained_on_and_shown_with_a_row_for_every_second_frame(tmp_path, run_command):
    make_motion_shapes(tmp_path / 'motion', train=6, val=6)
    dataset = 'train_dataloader.dataset'
    options = [f'{dataset}.ann_file={tmp_path}/motion/train.txt', f'{dataset}.data_prefix.video={tmp_path}/motion']
    options += ['train_cfg.max_epochs=1', 'train_dataloader.batch_size=2', 'train_dataloader.num_workers=0']
    options += ['train_dataloader.persistent_workers=False', 'default_hooks.logger.interval=1']
    code, printed = run_command('train', MOTION_MAE, '--work-dir', tmp_path / 'run', '--cfg-options', *options)
    assert code == 0, printed
    assert len(losses_of(tmp_path / 'run')) == 3
    video = tmp_path / 'motion/val/00000.mp4'
    checkpoint = tmp_path / 'run' / 'epoch_1.pth'
    code, printed = run_command('predict', checkpoint, video, '--device', 'cpu', '--out-dir', tmp_path / 'out')
    assert code == 0, printed
    with Image.open(tmp_path / 'out' / '00000_mae.png') as picture:
        assert picture.size == (3 * 64 + 2 * 4, 8 * 64 + 7 * 4)


def test_pictures_of_what_is_no_image_and_of_other_models_are_refused(pretrained, tmp_path, run_command):
    (tmp_path / 'text.png').write_text('no image')
    checkpoint = pretrained / 'epoch_2.pth'
    code, printed = run_command('predict', checkpoint, tmp_path / 'text.png', '--out-dir', tmp_path / 'out')
    assert code == 1 and "text.png' is damaged, truncated or not an image" in printed
    assert not list((tmp_path / 'out').glob('*.png'))
    result = run_command('test', TINY_MAE, checkpoint, '--work-dir', tmp_path / 'run')
    assert_explained(result, 'has no test_dataloader', 'predict')
    other = ROOT / 'tests' / 'data' / 'tiny_in1k.py'
    result = run_command('predict', checkpoint, tmp_path / 'text.png', '--config', other)
    assert_explained(result, 'was not made with this config')
    result = run_command('predict', checkpoint, tmp_path / 'text.png', '--topk', 2)
    assert_explained(result, '--topk', 'one of the masked autoencoders')


@pytest.fixture(scope='module')
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'classes'
    make_class_shapes(folder, train=9, val=6)
    return folder


JUDGED = f"""
_base_ = '{ROOT}/configs/mae_hiera_t.py'
data_root = 'DATA'
train_data_prefix = 'train'
image_size = 64
batch_size, num_workers, epochs = 4, 0, 2
model = dict(
    backbone=dict(arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))),
    decoder_embed_dim=32,
    decoder_depth=1,
    decoder_num_heads=2,
)
default_hooks = dict(logger=dict(interval=1))
randomness = dict(seed=3)
"""


def test_features_are_judged_while_they_are_learned_which_changes_nothing(classes, tmp_path, run_command):
    losses = {}
    for name, more in dict(plain='', judged="val_data_prefix = 'val'\n").items():
        path = tmp_path / f'{name}.py'
        path.write_text(JUDGED.replace('DATA', str(classes)) + more)
        code, printed = run_command('train', path, '--work-dir', tmp_path / name)
        assert code == 0, printed
        losses[name] = losses_of(tmp_path / name)
    assert losses['plain'] == losses['judged'] and len(losses['plain']) > 4
    (log,) = (tmp_path / 'judged').glob('*/vis_data/scalars.json')
    found = [entry for entry in map(json.loads, log.read_text().splitlines()) if 'features/rank' in entry]
    assert len(found) == 2 and 'features/linear' in printed
    assert all(0 <= entry['features/linear'] <= 1 < entry['features/rank'] < 128 for entry in found)
    code, printed = run_command('report', tmp_path / 'judged')
    page = (tmp_path / 'judged' / 'report.html').read_text()
    assert code == 0 and 'Validation, on other scales' in page, printed


def test_too_few_labels_are_told_before_training(classes, tmp_path, run_command):
    for name in ('one', 'two'):
        (tmp_path / 'few' / name).mkdir(parents=True)
        Image.new('RGB', (64, 64)).save(tmp_path / 'few' / name / '1.png')
    path = tmp_path / 'judged.py'
    path.write_text(JUDGED.replace('DATA', str(classes)) + f"val_data_prefix = '{tmp_path / 'few'}'\n")
    result = run_command('train', path, '--work-dir', tmp_path / 'run')
    assert_explained(result, 'val_evaluator: Features are judged by at least', 'of the 2 labelled ones 0 have')


def class_options(folder):
    return ['--cfg-options', *(f'{part}_dataloader.dataset.data_root={folder}' for part in ('train', 'val', 'test'))]


TINY_IN1K = ROOT / 'tests' / 'data' / 'tiny_in1k.py'


def test_a_classifier_trains_and_is_tested_on_class_folders(classes, tmp_path, run_command):
    options = [*class_options(classes), 'train_cfg.max_epochs=1']
    code, printed = run_command('train', TINY_IN1K, '--work-dir', tmp_path, *options)
    assert code == 0, printed
    assert 'acc/top1' in printed
    code, printed = run_command(
        'test', TINY_IN1K, tmp_path / 'epoch_1.pth', '--work-dir', tmp_path, *class_options(classes)
    )
    assert code == 0 and 'acc/top1' in printed, printed


def test_metas_classifier_gives_the_official_probabilities(classes, tmp_path, run_command):
    torch.manual_seed(0)
    oracle = hiera.Hiera(
        embed_dim=16, num_heads=1, stages=(1, 1, 1, 1), num_classes=3, input_size=(224, 224), head_init_scale=30.0
    ).eval()
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'hiera.pth')
    out = tmp_path / 'predictions.pkl'
    arguments = ('test', TINY_IN1K, tmp_path / 'hiera.pth', '--work-dir', tmp_path, '--out', out)
    code, printed = run_command(*arguments, *class_options(classes))
    assert code == 0, printed
    images = ImageFolder(classes / 'val', OFFICIAL_PREPARATION)
    predictions = pickle.loads(out.read_bytes())
    assert len(predictions) == len(images) == 6
    for (image, label), sample in zip(images, predictions, strict=True):
        with torch.no_grad():
            expected = oracle(image[None])[0]
        torch.testing.assert_close(sample['pred_score'], expected, rtol=1e-4, atol=1e-5)
        assert sample['gt_label'].tolist() == [label]


def test_faults_of_image_sets_are_told_before_training_starts(classes, tmp_path, run_command):
    options = class_options(classes)
    heads = [*options, 'model.cls_head.num_classes=5']
    blending = 'model.data_preprocessor.blending.augments.0.num_classes=3'
    result = run_command('train', TINY_IN1K, '--work-dir', tmp_path, *heads, blending)
    assert_explained(result, 'makes labels of 3 classes, but')
    result = run_command('train', TINY_IN1K, '--work-dir', tmp_path, *heads)
    assert_explained(result, f"'{classes}/train' of train_dataloader.dataset has 3 classes, but the model predicts 5")
    (tmp_path / 'val' / 'square').mkdir(parents=True)
    for name in ('bar', 'circle'):
        (tmp_path / 'val' / name).mkdir()
    result = run_command(
        'train', TINY_IN1K, '--work-dir', tmp_path, *options, f'val_dataloader.dataset.data_root={tmp_path}'
    )
    assert_explained(result, 'must be the same, but only one of them has 2 (square, triangle)')
    gone = [*options, f'train_dataloader.dataset.data_root={tmp_path}/gone']
    assert_explained(run_command('train', TINY_IN1K, '--work-dir', tmp_path, *gone), "gone/train' does not exist")
    result = run_command(
        'train', TINY_MAE, '--work-dir', tmp_path, '--cfg-options', f'train_dataloader.dataset.data_root={tmp_path}'
    )
    assert_explained(result, "train' does not exist; put the images there or correct data_prefix")
    (tmp_path / 'train').mkdir()
    result = run_command(
        'train', TINY_MAE, '--work-dir', tmp_path, '--cfg-options', f'train_dataloader.dataset.data_root={tmp_path}'
    )
    assert_explained(result, 'holds no images')


def test_check_dataset_names_every_fault_of_image_sets(classes, tmp_path, run_command):
    code, printed = run_command('check-data', TINY_IN1K, *class_options(classes))
    assert code == 0 and printed.strip().endswith('\n0 faults, 0 notes.') and 'Note' not in printed, printed
    for part in ('train', 'val'):
        for name in ('bar', 'circle', 'triangle'):
            (tmp_path / part / name).mkdir(parents=True)
            if name != 'circle':
                (tmp_path / part / name / 'a.png').write_bytes(next((classes / part / name).glob('*.png')).read_bytes())
    (tmp_path / 'val' / 'circle' / 'b.png').write_text('no image')
    code, printed = run_command('check-data', TINY_IN1K, *class_options(tmp_path), '--videos', 'all')
    assert code == 1 and 'Traceback' not in printed
    assert "circle/b.png' is damaged, truncated or not an image" in printed and '1 fault, 1 note.' in printed
    assert 'Note: train_dataloader.dataset: no image has the class 1 (circle).' in printed
    (tmp_path / 'list.txt').write_text('train/bar/a.png 0\ntrain/gone.png 1\ntrain/bar/a.png 3\n')
    options = [
        *class_options(tmp_path),
        'train_dataloader.dataset.ann_file=list.txt',
        'train_dataloader.dataset.data_prefix.img=',
    ]
    code, printed = run_command('check-data', TINY_IN1K, *options)
    assert code == 1 and 'have labels outside 0 to 2, such as' in printed and 'train/bar/a.png (3)' in printed
    (tmp_path / 'list.txt').write_text('train/bar/a.png 0\ntrain/gone.png 1\n')
    code, printed = run_command('check-data', TINY_IN1K, *options)
    assert code == 1 and '1 (' in printed and 'train/gone.png) do not exist; correct data_prefix or ann_file' in printed
