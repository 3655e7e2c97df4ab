"""Configs of volumes: they build, learn and predict at reduced depth, and start from published weights."""

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.errors import UserError
from hiera_mm.models import VolumeEncoderDecoder
from hiera_mm.settings import read_config
from hiera_mm.tasks import check_data
from hiera_mm.weights.zoo import ZOO

import hiera
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import BaseDataElement

from tests.helpers import CONFIGS, model_complexity, read
from tests.models.test_mae import CLIPS

NAMES = [name for name in CONFIGS if name.startswith('unetr')]


def reduced(config):
    """With the widths of the config and fewer blocks, and a few channels at full resolution."""
    given = config.model.backbone.arch
    full = ARCHITECTURES[given] if isinstance(given, str) else given
    config.model.backbone.update(arch=dict(full, depths=(1, 1, 2, 1)), init_cfg=None)
    if config.model.backbone.get('global_blocks'):
        config.model.backbone.global_blocks = (2,)
    config.model.decoder.channels = 4
    return MODELS.build(config.model)


def test_the_configs_of_the_table_are_there():
    wanted = {'unetr_hiera_t_btcv.py', 'unetr_hiera_b_btcv.py', 'unetr_hiera_b_btcv_128.py', 'unetr_hiera_t_shapes.py'}
    assert wanted == set(NAMES)


def test_a_config_with_the_former_name_of_the_model_still_builds():
    config = read('unetr_hiera_t_shapes.py')
    model = reduced(config)
    config.model.type = 'VolumeSegmentor'
    assert type(MODELS.build(config.model)) is type(model) is VolumeEncoderDecoder


@pytest.mark.parametrize('name', NAMES)
def test_it_runs_forward_and_backward_at_reduced_depth(name):
    config = read(name)
    classes = config.model.decoder.num_classes
    model = reduced(config)
    # Windows of the config are left by 80 pixels and 36 slices.
    model.test_cfg.crop_size = (36, 64, 96)
    samples = [BaseDataElement(label=torch.randint(classes, (1, 1, 36, 64, 96), dtype=torch.uint8))]
    batch = dict(inputs=[torch.rand(1, 1, 36, 64, 96)], data_samples=samples)
    batch = model.data_preprocessor(batch, training=True)
    loss, _ = model.parse_losses(model(**batch, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss) and not [name for name, p in model.named_parameters() if p.grad is None]
    whole = dict(inputs=[torch.rand(1, 1, 40, 70, 96)], data_samples=[BaseDataElement()])
    with torch.no_grad():
        (found,) = model.eval().test_step(whole)
    assert found.predicted.shape == (1, 40, 70, 96) and found.predicted.max() < classes


def test_published_weights_are_those_of_the_zoo():
    named = [read(name).model.backbone.init_cfg for name in NAMES]
    assert {init.checkpoint for init in named if init} == {'hiera_b_16x224.mae_k400', 'hiera_t.mae_in1k'} <= ZOO.keys()


def test_crops_are_as_large_as_the_models_windows():
    for name in NAMES:
        config = read(name)
        steps = config.train_dataloader.dataset.pipeline
        steps = [*steps, *config.val_dataloader.dataset.pipeline, *config.test_dataloader.dataset.pipeline]
        (size,) = {tuple(step.spatial_size) for step in steps if 'spatial_size' in step}
        assert size[::-1] == tuple(config.model.test_cfg.crop_size)
        assert size[2] == config.model.backbone.num_frames


def test_a_clip_models_weights_begin_it_with_the_colours_summed_up(tmp_path):
    official = dict(input_size=(16, 64, 64), embed_dim=16, num_heads=1, stages=(1, 1, 1, 1), q_pool=2)
    decoder = dict(decoder_embed_dim=32, decoder_depth=1, decoder_num_heads=2)
    state = hiera.MaskedAutoencoderHiera(**official, **CLIPS, **decoder).state_dict()
    torch.save(dict(model_state=state), tmp_path / 'mae.pth')
    config = read('unetr_hiera_b_btcv.py')
    config.model.decoder.channels = 4
    config.model.backbone.update(arch=dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)))
    config.model.decoder.in_channels = [16, 32, 64, 128]
    config.model.backbone.init_cfg.checkpoint = str(tmp_path / 'mae.pth')
    model = MODELS.build(config.model)
    model.init_weights()
    weight = next(value for key, value in state.items() if key.endswith('patch_embed.proj.weight'))
    torch.testing.assert_close(model.backbone.patch_embed.proj.weight, weight.sum(dim=1, keepdim=True))


@pytest.mark.parametrize('name', ['unetr_hiera_t_btcv.py', 'mae_hiera_t_volumes.py'])
def test_parameters_and_macs_are_counted(name):
    parts, shape = model_complexity(read(name).model)
    assert shape == (96, 96)
    model = MODELS.build(read(name).model)
    assert sum(count for count, _ in parts.values()) >= sum(p.numel() for p in model.backbone.parameters())
    assert all(macs > 0 for _, macs in parts.values())
    if 'unetr' in name:
        with pytest.raises(UserError, match='crop_size'):
            model_complexity(read(name).model, (64, 64))


def test_the_autoencoder_of_volumes_learns_from_one_channel():
    config = read('mae_hiera_t_volumes.py')
    config.model.backbone.arch = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
    config.model.update(decoder_embed_dim=32, decoder_depth=1, decoder_num_heads=2, input_size=(8, 64, 96))
    model = MODELS.build(config.model)
    batch = dict(inputs=[torch.rand(4, 1, 8, 64, 96)] * 2, data_samples=[BaseDataElement()] * 2)
    loss = model(**model.data_preprocessor(batch, training=True), mode='loss')['loss']
    loss.backward()
    assert 0 < loss < 3 and all(parameter.grad is not None for parameter in model.parameters())


def settled(tmp_path, more, base='unetr_hiera_t_btcv'):
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = 'hiera_mm::{base}.py'\n{more}")
    return read_config(str(path))


@pytest.mark.parametrize('base', ['unetr_hiera_t_btcv', 'mae_hiera_t_volumes'])
def test_own_settings_reach_every_place(tmp_path, base):
    config = settled(
        tmp_path, "data_root = 'mine/'\ntrain_ann_file = 'a.json'\ncrop_size = (128, 128, 32)\nepochs = 50", base
    )
    dataset = config.train_dataloader.dataset
    assert dataset.data_root == 'mine/' and dataset.ann_file == 'a.json'
    sizes = [step[key] for step in dataset.pipeline for key in ('spatial_size', 'roi_size') if key in step]
    assert sizes == [(128, 128, 32)] * 2
    windows = config.model.get('input_size') or config.model.test_cfg.crop_size
    assert tuple(windows) == (32, 128, 128)
    assert config.train_cfg.max_epochs == 50
    warm_up, cosine = config.param_scheduler
    assert warm_up.end == cosine.begin and cosine.end == 50 and cosine.T_max == 50 - warm_up.end
    if base.startswith('unetr'):
        assert config.train_cfg.val_interval == config.default_hooks.checkpoint.interval == 1


def test_crops_that_quarter_turns_would_change_are_refused(tmp_path):
    with pytest.raises(UserError, match='not as wide as high'):
        check_data(settled(tmp_path, 'crop_size = (128, 64, 32)'), ['train_dataloader'])
    config = settled(tmp_path, 'crop_size = (128, 64, 32)', 'mae_hiera_t_volumes')
    assert tuple(config.model.input_size) == (32, 64, 128)


def test_a_run_of_one_epoch_has_the_warm_up_alone(tmp_path):
    config = settled(tmp_path, 'epochs = 1')
    assert [(each.type, each.end) for each in config.param_scheduler] == [('WarmUpLR', 1)]


def test_a_length_that_is_set_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match='train_cfg.max_epochs = 60, and at its top epochs = 50'):
        settled(tmp_path, 'epochs = 50\ntrain_cfg = dict(max_epochs=60)')


def scaling(config):
    """The steps that change intensities, in their order: name, channels, and window if there is one."""
    steps = config.val_dataloader.dataset.pipeline
    beginnings = ('ScaleIntensity', 'NormalizeIntensity', 'CropForeground')
    chosen = [step for step in steps if step.get('name', '').startswith(beginnings)]
    return [(step.name, step.get('channels'), step.get('a_min')) for step in chosen]


WINDOW, PERCENTILES, ZSCORE = 'ScaleIntensityRanged', 'ScaleIntensityRangePercentilesd', 'NormalizeIntensityd'
CUT = ('CropForegroundd', None, None)


@pytest.mark.parametrize('base', ['unetr_hiera_t_btcv', 'unetr_hiera_b_btcv_128', 'unetr_hiera_t_shapes'])
@pytest.mark.parametrize(
    'text, steps, means',
    [
        ('(-50, 9)', [(WINDOW, None, -50), CUT], [0.45]),
        ('None', [(PERCENTILES, None, None), CUT], [0.45]),
        ("'zscore'", [CUT, (ZSCORE, None, None)], [0.0]),
        ("['zscore']", [CUT, (ZSCORE, None, None)], [0.0]),
        ('[[-50, 9]]', [(WINDOW, None, -50), CUT], [0.45]),
        ("[(-50, 9), 'zscore']", [(WINDOW, [0], -50), CUT, (ZSCORE, [1], None)], [0.45, 0.0]),
        ("('zscore', None)", [(PERCENTILES, [1], None), CUT, (ZSCORE, [0], None)], [0.0, 0.45]),
        ('[(-50, 9), (7, 8)]', [(WINDOW, [0], -50), (WINDOW, [1], 7), CUT], [0.45, 0.45]),
        ('[None, None]', [(PERCENTILES, [0], None), (PERCENTILES, [1], None), CUT], [0.45, 0.45]),
    ],
)
def test_intensities_are_one_for_all_channels_or_one_for_each(tmp_path, base, text, steps, means):
    config = settled(tmp_path, f'channels = 2\nintensity_range = {text}', base)
    assert scaling(config) == steps
    assert config.model.data_preprocessor.mean == means
    assert config.model.data_preprocessor.std == [1.0 if mean == 0 else 0.225 for mean in means]


def test_an_autoencoder_has_the_same_settings(tmp_path):
    config = settled(tmp_path, "channels = 3\nintensity_range = 'zscore'\nweights = None", 'mae_hiera_t_volumes')
    assert config.model.backbone.in_channels == config.train_dataloader.dataset.channels == 3
    assert config.model.data_preprocessor.mean == [0.0]
    names = [step.get('name') for step in config.train_dataloader.dataset.pipeline]
    assert names.index('CropForegroundd') < names.index(ZSCORE) < names.index('RandSpatialCropSamplesd')


@pytest.mark.parametrize('channels', [1, 3])
def test_a_model_of_more_channels_learns_and_predicts(tmp_path, channels):
    config = settled(tmp_path, f'channels = {channels}', 'unetr_hiera_t_shapes')
    init_default_scope(config.default_scope)
    model = reduced(config)
    samples = [BaseDataElement(label=torch.randint(3, (1, 1, 32, 64, 64), dtype=torch.uint8))]
    batch = dict(inputs=[torch.rand(1, channels, 32, 64, 64)], data_samples=samples)
    loss, _ = model.parse_losses(model(**model.data_preprocessor(batch, training=True), mode='loss'))
    loss.backward()
    assert torch.isfinite(loss) and not [name for name, p in model.named_parameters() if p.grad is None]
