"""Configs of action detection: build, run forward and backward at reduced depth, and follow the paper's tables."""

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.engine import DepthLayerDecayConstructor
from hiera_mm.tasks.actions.forward_pass import action_detector_complexity

import hiera
import numpy as np
import pytest
import torch
from mmaction.registry import TRANSFORMS
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, OPTIM_WRAPPER_CONSTRUCTORS, init_default_scope
from torch import nn

from tests.helpers import CONFIGS, MadeUpFilm, groups_by_name, read

DETECTORS = [name for name in CONFIGS if name.startswith('ava_')]
PUBLISHED = [name for name in DETECTORS if 'shapes' not in name]


def test_the_configs_are_there():
    assert set(DETECTORS) == {
        *(f'ava_hiera_{size}.py' for size in ('b', 'bp', 'l', 'h')),
        'ava_kinetics_hiera_l.py',
        'ava_hiera_t_shapes.py',
    }


def run_pipeline(pipeline, num_classes):
    """A made-up film with two persons through all steps of a config's pipeline but opening the file."""
    boxes = np.array([[0.3, 0.2, 0.6, 0.9], [0.0, 0.1, 0.2, 0.9]])
    labels = np.zeros((2, num_classes), np.float32)
    labels[0, [1, 3]] = labels[1, 2] = 1
    results = dict(gt_bboxes=boxes, gt_labels=labels, proposals=boxes, video_id='a', img_key='a,0902', modality='RGB')
    results.update(fps=30, timestamp=902, timestamp_start=900)
    results.update(video_reader=MadeUpFilm(999, 270, 360), total_frames=999, avg_fps=30.0, start_index=1)
    for step in pipeline[1:]:
        results = TRANSFORMS.build(step)(results)
    return results


@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=() if '_b.' in name else pytest.mark.slow) for name in DETECTORS]
)
def test_it_trains_and_predicts_at_reduced_depth(name):
    config = read(name)
    model = config.model
    model.backbone.init_cfg = None
    if isinstance(model.backbone.arch, str):
        model.backbone.arch = dict(ARCHITECTURES[model.backbone.arch], depths=(1, 1, 1, 1))
    detector = MODELS.build(model)
    detector.init_weights()
    side = 128 if 'shapes' in name else 224
    samples = [run_pipeline(config.train_pipeline, model.roi_head.bbox_head.num_classes) for _ in range(2)]
    assert samples[0]['inputs'].shape == (3, 16, side, side)
    keys = ('inputs', 'data_samples')
    batch = detector.data_preprocessor({key: [sample[key] for sample in samples] for key in keys}, training=True)
    loss, _ = detector.parse_losses(detector(**batch, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(parameter.grad is not None for parameter in detector.parameters())
    build_optim_wrapper(detector, config.optim_wrapper)

    sample = run_pipeline(config.test_pipeline, model.roi_head.bbox_head.num_classes)
    assert sample['inputs'].shape == (3, 16, side, side)
    with torch.no_grad():
        found = detector.eval().test_step({key: [sample[key]] for key in keys})[0].pred_instances
    assert found.scores.shape == (2, model.roi_head.bbox_head.num_classes)
    np.testing.assert_allclose(found.bboxes, [[0.3, 0.2, 0.6, 0.9], [0.0, 0.1, 0.2, 0.9]], atol=1e-6)


@pytest.mark.parametrize(
    'name, decay, drop_path, width',
    [
        ('ava_hiera_l.py', 0.875, 0.4, 1152),
        ('ava_hiera_h.py', 0.875, 0.4, 2048),
        ('ava_hiera_b.py', 0.8, 0.2, 768),
        ('ava_hiera_bp.py', 0.8, 0.2, 896),
        ('ava_kinetics_hiera_l.py', 0.875, 0.4, 1152),
    ],
)
def test_the_recipe_is_that_of_the_papers_table_13(name, decay, drop_path, width):
    config = read(name)
    assert config.optim_wrapper.optimizer == dict(type='SGD', lr=3.6, momentum=0.9, nesterov=True, weight_decay=1e-8)
    assert config.optim_wrapper.get('clip_grad') is None
    warm_up, cosine = config.param_scheduler
    assert (warm_up.end, cosine.begin, cosine.end, config.train_cfg.max_epochs) == (5, 5, 30, 30)
    assert (cosine.T_max, cosine.eta_min_ratio) == (25, 0)
    assert config.optim_wrapper.paramwise_cfg.layer_decay_rate == decay
    assert config.auto_scale_lr.base_batch_size == config.global_batch == 128
    backbone, head = config.model.backbone, config.model.roi_head.bbox_head
    assert backbone.drop_path_rate == drop_path and tuple(backbone.out_indices) == (3,)
    assert (head.num_classes, head.dropout_ratio, head.in_channels) == (81, 0.5, width)
    assert config.model.roi_head.bbox_roi_extractor.featmap_stride == 32
    assert backbone.init_cfg.checkpoint == f'hiera_{backbone.arch}_16x224.mae_k400_ft_k400'
    assert config.model.data_preprocessor.mean == [0.45 * 255] * 3
    assert config.model.data_preprocessor.std == [0.225 * 255] * 3


@pytest.mark.parametrize('name', PUBLISHED)
def test_training_and_evaluation_use_the_files_of_their_part(name):
    config = read(name)
    folder = 'data/ava_kinetics/' if 'kinetics' in name else 'data/ava/'
    for loader, part in ((config.train_dataloader, 'train'), (config.val_dataloader, 'val')):
        dataset = loader.dataset
        assert dataset.ann_file == f'{folder}annotations/ava_{part}_v2.2.csv'
        assert dataset.exclude_file == f'{folder}annotations/ava_{part}_excluded_timestamps_v2.2.csv'
        assert dataset.proposal_file == f'{folder}annotations/ava_dense_proposals_{part}.FAIR.recall_93.9.pkl'
        assert dataset.data_prefix == dict(img=f'{folder}rawframes')
    assert config.val_evaluator.type == 'AVAMetric'
    for key in ('ann_file', 'exclude_file', 'label_file'):
        assert config.val_evaluator[key] == config.val_dataloader.dataset[key]
    assert config.test_dataloader == config.val_dataloader and config.test_evaluator == config.val_evaluator
    assert config.val_dataloader.batch_size == 1


# Table 7: 413 and 1158 GMACs, 213M and 672M parameters; the classifiers' decimals counted independently.
@pytest.mark.parametrize('name, giga, millions', [('ava_hiera_l.py', 412.1, 212.7), ('ava_hiera_h.py', 1157.8, 671.0)])
def test_parameters_and_macs_are_the_papers(name, giga, millions):
    parts = action_detector_complexity(read(name).model, 224, 224).values()
    assert sum(macs for _, macs in parts) / 1e9 == pytest.approx(giga, rel=0.001)
    assert sum(parameters for parameters, _ in parts) / 1e6 == pytest.approx(millions, rel=0.001)


@pytest.mark.parametrize('scope', ['mmaction', 'mmdet', 'mmengine'])
def test_the_layer_decay_in_force_is_ours_in_every_scope(scope):
    init_default_scope(scope)
    config = read('ava_hiera_l.py')
    kind = OPTIM_WRAPPER_CONSTRUCTORS.switch_scope_and_registry(scope)
    with kind as registry:
        assert registry.get(config.optim_wrapper.constructor) is DepthLayerDecayConstructor


def test_learning_rates_fall_from_the_head_to_the_patches():
    config = read('ava_hiera_l.py')
    config.model.backbone.init_cfg = None
    config.model.backbone.arch = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
    config.model.roi_head.bbox_head.in_channels = 128
    detector = MODELS.build(config.model)
    groups = groups_by_name(detector, build_optim_wrapper(detector, config.optim_wrapper).optimizer)
    rates = {name: group['lr'] / 3.6 for name, group in groups.items()}
    assert rates['roi_head.bbox_head.fc_cls.weight'] == rates['backbone.out_norms.3.weight'] == 1
    assert rates['backbone.blocks.3.norm1.weight'] == pytest.approx(0.875)
    for shallow in ('patch_embed.proj.weight', 'pos_embed_spatial', 'pos_embed_temporal'):
        assert rates[f'backbone.{shallow}'] == pytest.approx(0.875**5)


def test_a_kinetics_classifier_of_metas_gives_its_last_map_inside_the_detector(tmp_path):
    """With its final norm, as PySlowFast puts it before the regions."""
    torch.manual_seed(0)
    oracle = hiera.Hiera(
        **dict(embed_dim=16, num_heads=1, stages=(1, 1, 2, 1), num_classes=400, input_size=(16, 224, 224)),
        **dict(q_stride=(1, 2, 2), mask_unit_size=(1, 8, 8), sep_pos_embed=True),
        **dict(patch_kernel=(3, 7, 7), patch_stride=(2, 4, 4), patch_padding=(1, 3, 3)),
    ).eval()
    nn.init.normal_(oracle.norm.weight)
    nn.init.normal_(oracle.norm.bias)
    torch.save(dict(model_state=oracle.state_dict()), tmp_path / 'hiera_16x224.pth')

    config = read('ava_hiera_b.py')
    config.model.backbone.arch = dict(embed_dim=16, num_heads=1, depths=(1, 1, 2, 1))
    config.model.backbone.init_cfg.checkpoint = str(tmp_path / 'hiera_16x224.pth')
    config.model.roi_head.bbox_head.in_channels = 128
    detector = MODELS.build(config.model).eval()
    detector.init_weights()
    sample = run_pipeline(config.test_pipeline, 81)
    batch = detector.data_preprocessor(dict(inputs=[sample['inputs']], data_samples=[sample['data_samples']]))
    with torch.no_grad():
        (found,) = detector.extract_feat(batch['inputs'])
        clip = (sample['inputs'][None].float() / 255 - 0.45) / 0.225
        _, stages = oracle(clip, return_intermediates=True)
        expected = oracle.norm(stages[-1]).permute(0, 4, 1, 2, 3)
    assert found.shape == (1, 128, 8, 7, 7)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
