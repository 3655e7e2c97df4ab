"""What --tiny and --size change in a config, and that it is nothing else."""

from hiera_mm.checks.run import LOADERS
from hiera_mm.config import read_config_file
from hiera_mm.rehearsal.tiny import SIZE_KEYS, shrink_images, shrink_model
from hiera_mm.tasks import task_of

import pytest
from mmengine.registry import MODELS, DefaultScope

from tests.helpers import CONFIGS, FOLDER

BACKBONE = {f'model.{part}.{key}' for part in ('backbone', 'teacher') for key in ('arch', 'global_blocks')}
TAKERS = ('neck', 'cls_head', 'roi_head.bbox_head', 'decode_head', 'auxiliary_head', 'panoptic_head', 'decoder')
WIDTHS = {f'model.{taker}.in_channels' for taker in TAKERS}
DECODER = {'model.decoder_embed_dim', 'model.decoder_depth', 'model.decoder_num_heads', 'model.decoder.channels'}


def leaves(part, path=''):
    if isinstance(part, dict) and not path.endswith('.arch'):
        return {key: value for name in part for key, value in leaves(part[name], f'{path}.{name}'.strip('.')).items()}
    if isinstance(part, list | tuple) and any(isinstance(entry, dict) for entry in part):
        return {key: value for n, entry in enumerate(part) for key, value in leaves(entry, f'{path}.{n}').items()}
    return {path: part}


def changed(before, after):
    before, after = leaves(before), leaves(after)
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


@pytest.mark.parametrize('name', CONFIGS)
def test_a_tiny_model_differs_in_width_and_depth_alone_and_builds(name):
    config = read_config_file(str(FOLDER / name))
    before = config.to_dict()
    shrink_model(config, task_of(config))
    assert changed(before, config.to_dict()) <= BACKBONE | WIDTHS | DECODER
    config.model.backbone.init_cfg = None
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
    backbone = sum(parameter.numel() for parameter in model.backbone.parameters())
    assert backbone < 1e6, 'patch embedding, four blocks and tables'
    if before['model']['backbone'].get('global_blocks'):
        assert model.backbone.window_side and config.model.backbone.global_blocks == (2,)


def test_a_head_that_was_told_a_wrong_width_keeps_it():
    config = read_config_file(str(FOLDER / 'k400_hiera_b.py'))
    config.model.cls_head.in_channels = 700
    shrink_model(config, task_of(config))
    assert config.model.cls_head.in_channels == 700


@pytest.mark.parametrize('name', ['mask_rcnn_hiera_b.py', 'cascade_mask_rcnn_hiera_l.py'])
def test_pictures_shrink_in_every_step_and_in_the_padding_and_nowhere_else(name):
    config = read_config_file(str(FOLDER / name))
    before = config.to_dict()
    shrink_images(config, task_of(config), 256)
    assert {key.rpartition('.')[2] for key in changed(before, config.to_dict())} == {
        'scale',
        'crop_size',
        'pad_size_divisor',
    }
    assert config.model.data_preprocessor.pad_size_divisor == 256
    assert config.train_dataloader.dataset.pipeline[3].scale == (256, 256)
    assert config.train_dataloader.dataset.pipeline[3].ratio_range == (0.1, 2.0)


@pytest.mark.parametrize(
    'name, sizes',
    [
        ('k400_hiera_b.py', {(-1, 128), (-1, 96), (96, 96), 96}),
        ('ava_hiera_b.py', {(96, 128), (-1, 96), 96}),
        ('mae_hiera_b.py', {128}),
        ('in1k_hiera_b.py', {128}),
        ('unetr_hiera_b_btcv_128.py', {(128, 128, 128)}),
        ('mae_hiera_t_volumes.py', {(96, 96, 96)}),
    ],
)
def test_every_side_follows_in_proportion(name, sizes):
    config = read_config_file(str(FOLDER / name))
    shrink_images(config, task_of(config), 128)
    steps = [step for loader in LOADERS if config.get(loader) for step in config[loader].dataset.pipeline]
    found = [step[key] for step in steps for key in SIZE_KEYS if key in step and step[key] != (0.2, 1.0)]  # of the area
    assert {tuple(size) if isinstance(size, list | tuple) else size for size in found} == sizes
    if name == 'mae_hiera_b.py':
        assert config.model.input_size == (128, 128)


@pytest.mark.parametrize('side', [32, 64, 96, 128, 256])
def test_a_range_of_sides_stays_a_range(side):
    config = read_config_file(str(FOLDER / 'ava_hiera_b.py'))
    shrink_images(config, task_of(config), side)
    (shortest, longest) = next(
        step.scale_range for step in config.train_dataloader.dataset.pipeline if 'scale_range' in step
    )
    assert 0 < shortest < longest <= side + 32


@pytest.mark.parametrize('name', ['unetr_hiera_b_btcv_128.py', 'mae_hiera_t_volumes.py'])
def test_crops_of_volumes_shrink_in_depth_as_well(name):
    config = read_config_file(str(FOLDER / name))
    shrink_images(config, task_of(config), 64)
    steps = [step for loader in LOADERS if config.get(loader) for step in config[loader].dataset.pipeline]
    assert {tuple(step[key]) for step in steps for key in SIZE_KEYS if key in step} == {(64, 64, 64)}
    of_model = config.model.get('input_size') or config.model.test_cfg.crop_size
    assert tuple(of_model) == (64, 64, 64)


def test_pictures_that_are_small_already_stay():
    config = read_config_file(str(FOLDER / 'mask_rcnn_hiera_t_shapes.py'))
    before = config.to_dict()
    shrink_images(config, task_of(config), 256)
    assert config.to_dict() == before
