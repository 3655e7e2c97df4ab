"""Configs of recognisers: build, run forward and backward at reduced depth, and follow the paper's tables."""

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.tasks.classification.forward_pass import recogniser_complexity

import numpy as np
import pytest
import torch
from mmaction.registry import TRANSFORMS
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS

from tests.helpers import CONFIGS, MadeUpFilm, classes_that_are_blended, read

CLASSES = dict(k400=400, k600=600, k700=700, ssv2=174)
RECOGNISERS = [name for name in CONFIGS if name.split('_')[0] in CLASSES]


def test_the_configs_of_the_tables_are_there():
    expected = {f'{data}_hiera_{size}.py' for data in ('k400', 'k600', 'k700') for size in ('b', 'bp', 'l', 'h')}
    expected |= {f'ssv2_hiera_{size}.py' for size in ('b', 'bp', 'l', 'l_32f')} | {
        'k400_hiera_t_shapes.py',
        'k400_hiera_t_shapes_mae.py',
    }
    assert set(RECOGNISERS) == expected


def frames(config):
    return config.train_pipeline[1].clip_len


def run_pipeline(pipeline, count=90):
    """A made-up video through all steps of a config's pipeline but opening and reading the file."""
    results = dict(
        filename='made up',
        label=3,
        start_index=0,
        modality='RGB',
        total_frames=count,
        avg_fps=30,
        video_reader=MadeUpFilm(count, 90, 120),
    )
    for step in pipeline[1:]:
        results = TRANSFORMS.build(step)(results)
    return results


@pytest.mark.parametrize('name', RECOGNISERS)
def test_it_runs_forward_and_backward_at_reduced_depth(name):
    config = read(name)
    model = config.model
    model.backbone.init_cfg = None
    if isinstance(model.backbone.arch, str):
        model.backbone.arch = dict(ARCHITECTURES[model.backbone.arch], depths=(1, 1, 1, 1))
    recogniser = MODELS.build(model)
    recogniser.init_weights()
    # Two crops of 64 x 64 keep it quick; the pipelines' own shapes are looked at below.
    samples = [run_pipeline(config.train_pipeline) for _ in range(2)]
    batch = dict(
        inputs=[sample['inputs'][..., :64, :64] for sample in samples],
        data_samples=[sample['data_samples'] for sample in samples],
    )
    batch = recogniser.data_preprocessor(batch, training=True)
    loss, _ = recogniser.parse_losses(recogniser(**batch, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(parameter.grad is not None for parameter in recogniser.parameters())
    build_optim_wrapper(recogniser, config.optim_wrapper)


@pytest.mark.parametrize('name', [name for name in RECOGNISERS if 'shapes' not in name])
def test_pipelines_give_the_papers_clips_and_views(name):
    config = read(name)
    views = dict(k400=15, k600=15, k700=15, ssv2=3)[name.split('_')[0]]
    for pipeline, expected in ((config.train_pipeline, 1), (config.val_pipeline, 1), (config.test_pipeline, views)):
        assert run_pipeline(pipeline)['inputs'].shape == (expected, 3, frames(config), 224, 224)
    assert frames(config) == (32 if name.endswith('32f.py') else 16) == config.model.backbone.num_frames
    assert config.train_dataloader.dataset.num_repeats == (1 if 'ssv2' in name else 2)
    flips = [step for step in config.train_pipeline if step.type == 'Flip']
    assert len(flips) == (0 if 'ssv2' in name else 1), 'labels of Something-Something tell left from right'
    assert (
        config.model.data_preprocessor.mean == [0.45 * 255] * 3
        and config.model.data_preprocessor.std == [0.225 * 255] * 3
    )


@pytest.mark.parametrize('name', [name for name in RECOGNISERS if 'shapes' not in name])
@pytest.mark.parametrize('count', [1, 10, 29])
def test_short_videos_give_clips_that_go_forward_and_repeat_frames(name, count):
    """As PySlowFast's, which never start again from the first frame."""
    config = read(name)
    for pipeline in (config.train_pipeline, config.val_pipeline, config.test_pipeline):
        results = dict(total_frames=count, start_index=0, avg_fps=12, video_reader=MadeUpFilm(count, rate=12))
        indices = TRANSFORMS.build(pipeline[1])(results)['frame_inds'].reshape(-1, frames(config))
        assert indices.min() >= 0 and indices.max() < count
        assert (np.diff(indices, axis=1) >= 0).all()
        assert pipeline[0] == dict(type='OpenVideo')


@pytest.mark.parametrize('name', [name for name in RECOGNISERS if 'shapes' not in name])
def test_every_place_has_the_sets_number_of_classes(name):
    config = read(name)
    classes = CLASSES[name.split('_')[0]]
    assert config.model.cls_head.num_classes == classes
    blending = config.model.data_preprocessor.blending
    if name.endswith('32f.py'):
        assert blending is None and config.model.cls_head.label_smooth_eps == 0
    else:
        assert [(a.type, a.alpha) for a in blending.augments] == [('MixupBlending', 0.8), ('CutmixBlending', 1.0)]
        assert classes_that_are_blended(config) == [classes, classes]
    data = 'sthv2' if 'ssv2' in name else f'kinetics{classes}'
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert f'data/{data}/{data}_' in loader.dataset.ann_file


# Table 4 with 400 classes; decimals counted independently, head included; 32 frames: table 6.
@pytest.mark.parametrize(
    'name, millions, giga',
    [
        ('k400_hiera_b.py', 51.093, 101.7),
        ('k400_hiera_bp.py', 69.392, 132.3),
        ('k400_hiera_l.py', 213.092, 412.1),
        ('k400_hiera_h.py', 671.628, 1157.8),
        ('ssv2_hiera_l_32f.py', 212.85, 1027.5),
    ],
)
def test_parameters_and_macs_of_one_view_are_the_papers(name, millions, giga):
    parts = recogniser_complexity(read(name).model, 224, 224).values()
    assert sum(parameters for parameters, _ in parts) / 1e6 == pytest.approx(
        millions, rel=0.01 if '32f' in name else 1e-4
    )
    assert sum(macs for _, macs in parts) / 1e9 == pytest.approx(giga, rel=0.01)


@pytest.mark.parametrize(
    'name, lr, epochs, decay, drop_path, dropout',
    [
        ('k400_hiera_b.py', 8e-4, 75, 0.8, 0.2, 0.3),
        ('k600_hiera_bp.py', 8e-4, 75, 0.8, 0.2, 0.3),
        ('k700_hiera_l.py', 8e-4, 50, 0.875, 0.2, 0.5),
        ('k400_hiera_h.py', 4e-4, 50, 0.875, 0.3, 0.5),
        ('ssv2_hiera_l.py', 0.16, 40, 0.875, 0.1, 0.5),
        ('ssv2_hiera_l_32f.py', 0.08, 40, 0.875, 0.2, 0.5),
    ],
)
def test_the_recipe_is_that_of_the_papers_tables_11_and_12(name, lr, epochs, decay, drop_path, dropout):
    config = read(name)
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr) == ('SGD' if 'ssv2' in name else 'AdamW', lr)
    assert optimizer.weight_decay == (1e-4 if 'ssv2' in name else 0.05)
    assert config.train_cfg.max_epochs == epochs == config.param_scheduler[1].end
    assert config.param_scheduler[0].end + config.param_scheduler[1].T_max == epochs
    assert config.optim_wrapper.paramwise_cfg.layer_decay_rate == decay
    assert config.model.backbone.drop_path_rate == drop_path
    assert config.model.cls_head.dropout_ratio == dropout
    assert config.auto_scale_lr.base_batch_size == config.global_batch == (128 if '32f' in name else 256)
    assert (config.optim_wrapper.get('clip_grad') is None) == ('ssv2' in name)
