"""Every config loads and is thin; those of detectors build, run forward and backward, and have the paper's size."""

from pathlib import Path

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.complexity import count_macs, count_parameters
from hiera_mm.config import dicts_in, read_config_file
from hiera_mm.errors import UserError
from hiera_mm.tasks.detection.forward_pass import detector_complexity
from hiera_mm.weights.zoo import ZOO

import pytest
import torch
from hydra import compose
from mmdet.registry import TRANSFORMS
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.registry import MODELS
from sam2.modeling.backbones.hieradet import Hiera as Sam2Trunk

from tests.helpers import CONFIGS, FOLDER, SIZES, groups_by_name, read

DETECTORS = [name for name in CONFIGS if 'mask_rcnn' in name]
SAM2_FILES = dict(t='t', s='s', bp='b+', l='l')
GENERATED = ('_shapes.py', '_shapes_panoptic.py')
"""Ends of the names of configs for generated sets, which state all that makes them quick."""


def test_the_configs_of_the_table_are_there():
    expected = {f'{kind}_hiera_{size}.py' for kind in ('mask_rcnn', 'cascade_mask_rcnn') for size in SIZES}
    variants = ('t_shapes', 'bp_sam2', 'l_sam2', 's_abswin')
    assert expected | {f'mask_rcnn_hiera_{variant}.py' for variant in variants} <= set(CONFIGS)


@pytest.mark.parametrize('name', CONFIGS)
def test_it_survives_dumping_and_says_where_its_values_come_from(name, tmp_path):
    config = read(name)
    config.dump(tmp_path / 'dumped.py')
    assert Config.fromfile(tmp_path / 'dumped.py').to_dict() == config.to_dict()
    lines = (FOLDER / name).read_text().splitlines()
    assert lines[0].startswith('# ') and any(word in ''.join(lines[:5]) for word in ('table', 'Ours', 'ours'))
    assert len(lines) <= 40 or name.endswith(GENERATED)


@pytest.mark.parametrize('name', DETECTORS)
def test_it_runs_forward_and_backward_at_reduced_depth(name):
    config = read(name)
    detector = reduced_detector(config.model)
    batch = detector.data_preprocessor(sample(config.train_pipeline), training=True)
    loss, _ = detector.parse_losses(detector(**batch, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss)
    learned = {name: p for name, p in detector.named_parameters() if p.requires_grad and 'out_norms' not in name}
    assert not [name for name, parameter in learned.items() if parameter.grad is None]
    detector.eval()
    with torch.no_grad():
        predicted = detector.test_step(sample(config.train_pipeline))
    assert predicted[0].pred_instances.masks.shape[1:] == (48, 64)


def test_a_training_step_under_autocast_on_a_cpu_has_the_loss_of_float32():
    config = read('mask_rcnn_hiera_b.py')
    config.model.backbone.drop_path_rate = 0.0
    config.model.data_preprocessor.batch_augments = None
    detector = reduced_detector(config.model)
    # Of few regions other ones would be drawn, as rounding changes the order of the proposals.
    detector.roi_head.bbox_sampler.num = 512
    batch = detector.data_preprocessor(sample(config.train_pipeline), training=True)
    losses = []
    for enabled in (False, True):
        torch.manual_seed(0)
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=enabled):
            loss, _ = detector.parse_losses(detector(**batch, mode='loss'))
        loss.backward()
        losses.append(loss.detach())
    torch.testing.assert_close(losses[1], losses[0], rtol=0.02, atol=0)
    assert all(p.grad.isfinite().all() for p in detector.parameters() if p.grad is not None)


def reduced_detector(model):
    """With the backbone's widths of the config, and fewer blocks, channels of its heads and proposals."""
    full = detector_widths(model)
    model.backbone.init_cfg = None
    model.backbone.arch = dict(full, depths=(1, 1, 2, 1))
    model.backbone.global_blocks = (3,) if model.backbone.global_blocks else ()
    model.data_preprocessor.pad_size_divisor = 32
    rcnn = model.train_cfg.rcnn
    for stage in rcnn if isinstance(rcnn, list) else [rcnn]:
        stage.sampler.num = 8
    for part in dicts_in(model.roi_head):
        part.update({key: 16 for key in ('conv_out_channels', 'fc_out_channels') if key in part})
    model.test_cfg.rpn.max_per_img = 20
    model.test_cfg.rcnn.max_per_img = 5
    detector = MODELS.build(model)
    detector.init_weights()
    return detector


def detector_widths(model):
    return ARCHITECTURES[model.backbone.arch]


def sample(pipeline):
    """One made-up image with one object, packed by the last step of the config's own pipeline."""
    import numpy as np
    from mmdet.structures.bbox import HorizontalBoxes
    from mmdet.structures.mask import BitmapMasks

    mask = np.zeros((1, 48, 64), np.uint8)
    mask[:, 10:30, 12:40] = 1
    results = dict(
        img=np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8),
        img_id=1,
        img_path='made up',
        img_shape=(48, 64),
        ori_shape=(48, 64),
        scale_factor=(1.0, 1.0),
        gt_bboxes=HorizontalBoxes(torch.tensor([[12.0, 10.0, 40.0, 30.0]])),
        gt_bboxes_labels=np.array([1]),
        gt_ignore_flags=np.array([False]),
        gt_masks=BitmapMasks(mask, 48, 64),
    )
    packed = TRANSFORMS.build(pipeline[-1])(results)
    return dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']])


@pytest.mark.parametrize('size, millions', [('b', 73), ('bp', 92), ('l', 236)])
def test_mask_rcnn_has_the_parameters_of_the_papers_table_10(size, millions):
    with torch.device('meta'):
        detector = MODELS.build(read(f'mask_rcnn_hiera_{size}.py').model)
    assert count_parameters(detector) / 1e6 == pytest.approx(millions, rel=0.01)


# Counted independently for the same model: backbone, FPN, RPN, 1000 boxes and 100 masks, in T, windows filled up.
@pytest.mark.parametrize(
    'size, tera', [('t', 0.479), ('s', 0.512), ('b', 0.575), ('bp', 0.650), ('l', 1.247), ('h', 3.066)]
)
def test_mask_rcnn_has_the_expected_macs_at_1024(size, tera):
    """With SAM 2's trunk as the backbone."""
    model = read(f'mask_rcnn_hiera_{size}.py').model
    parts = {part: macs / 1e12 for part, (_, macs) in detector_complexity(model, 1024, 1024).items()}
    arch = ARCHITECTURES[size]
    trunk = Sam2Trunk(
        embed_dim=arch['embed_dim'],
        num_heads=arch['num_heads'],
        stages=arch['depths'],
        window_spec=model.backbone.window_sizes,
        global_att_blocks=model.backbone.global_blocks,
    ).to('meta')
    filled_up = count_macs(trunk, torch.empty(1, 3, 1024, 1024, device='meta'))[0] / 1e12
    assert sum(parts.values()) - parts['backbone'] + filled_up == pytest.approx(tera, rel=0.01)
    # 16 and 8 divide the 64 and 32 tokens of a side, so nothing is filled up.
    assert parts['backbone'] == pytest.approx(filled_up, rel=1e-6)


@pytest.mark.parametrize('kind', ['mask_rcnn', 'cascade_mask_rcnn'])
@pytest.mark.parametrize('size', SIZES)
def test_global_blocks_are_sam2s_where_it_has_the_size(size, kind):
    file = SAM2_FILES[dict(b='bp', h='l').get(size, size)]
    trunk = compose(f'configs/sam2.1/sam2.1_hiera_{file}.yaml').model.image_encoder.trunk
    backbone = read(f'{kind}_hiera_{size}.py').model.backbone
    assert tuple(backbone.window_sizes) == (8, 4, 16, 8)
    assert tuple(backbone.global_blocks) == tuple(trunk.get('global_att_blocks', (12, 16, 20)))
    assert backbone.pos_embed == 'absolute_win'


@pytest.mark.parametrize('size, side', [('bp', 14), ('l', 7)])
def test_configs_from_sam2_keep_its_tables(size, side):
    config, plain = read(f'mask_rcnn_hiera_{size}_sam2.py'), read(f'mask_rcnn_hiera_{size}.py')
    assert config.model.backbone.pop('pos_embed_size') == side
    assert config.model.backbone.pop('init_cfg').checkpoint == f'sam2.1_hiera_{size}'
    plain.model.backbone.pop('init_cfg')
    trunk = compose(f'configs/sam2.1/sam2.1_hiera_{SAM2_FILES[size]}.yaml').model.image_encoder.trunk
    windows = config.model.backbone.pop('window_sizes'), plain.model.backbone.pop('window_sizes')
    assert tuple(windows[0]) == tuple(trunk.get('window_spec', (8, 4, 14, 7)))
    assert config.model == plain.model


@pytest.mark.parametrize('name', CONFIGS)
def test_it_starts_from_weights_of_its_size_and_names_their_licence(name):
    backbone = read(name).model.backbone
    if name.endswith(GENERATED) or name.startswith(('mae_', 'distill_')):
        assert backbone.get('init_cfg') is None
        return
    if name.endswith(('_shapes_mae.py', '_shapes_distilled.py')):
        pretraining = Path(backbone.init_cfg.checkpoint).parent.name
        assert read(f'{pretraining}.py').train_cfg.max_epochs == int(backbone.init_cfg.checkpoint[:-4].split('_')[-1])
        return
    published = ZOO[backbone.init_cfg.checkpoint]
    assert published.arch == backbone.arch
    assert published.licence in (FOLDER / name).read_text()


@pytest.mark.parametrize('size, lr, drop_path', [('b', 3.5e-5, 0.2), ('bp', 3.5e-5, 0.2), ('l', 3e-5, 0.4)])
def test_the_recipe_is_that_of_the_papers_table_15(size, lr, drop_path):
    config = read(f'mask_rcnn_hiera_{size}.py')
    optimizer = config.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', lr, 0.1)
    assert tuple(optimizer.betas) == (0.9, 0.999)
    assert config.model.backbone.drop_path_rate == drop_path
    assert config.train_cfg.max_iters * 64 == pytest.approx(100 * 118_000)
    assert config.auto_scale_lr.base_batch_size == 64
    assert config.model.backbone.init_cfg.checkpoint == f'hiera_{size}.mae_in1k'


def test_norms_and_the_position_table_take_no_weight_decay():
    from mmengine.optim import build_optim_wrapper

    config = read('mask_rcnn_hiera_b.py')
    with torch.device('meta'):
        detector = MODELS.build(config.model)
    optimizer = build_optim_wrapper(detector, config.optim_wrapper).optimizer
    assert len(optimizer.param_groups) == 2
    decayed = {name: group['weight_decay'] for name, group in groups_by_name(detector, optimizer).items()}
    assert decayed['backbone.pos_embed'] == decayed['backbone.pos_embed_window'] == 0
    assert decayed['backbone.blocks.0.norm1.weight'] == decayed['backbone.out_norms.0.bias'] == 0
    # detectron2 decays biases and the channel LayerNorms of neck and heads.
    assert decayed['backbone.blocks.0.mlp.fc1.bias'] == decayed['neck.fpn_convs.0.ln.weight'] == 0.1


def test_a_config_outside_the_repository_inherits_by_the_packages_name(tmp_path):
    (tmp_path / 'mine.py').write_text(
        "_base_ = __import__('hiera_mm').CONFIGS + '/mask_rcnn_hiera_b.py'\n"
        'model = dict(roi_head=dict(bbox_head=dict(num_classes=2), mask_head=dict(num_classes=2)))\n'
    )
    config = Config.fromfile(tmp_path / 'mine.py')
    assert config.model.roi_head.mask_head.num_classes == 2
    assert config.model.backbone.type == 'Hiera' and config.train_cfg.max_iters == 184375


@pytest.mark.parametrize('name', [name for name in DETECTORS if 'shapes' not in name])
def test_the_schedule_is_100_epochs_of_coco_with_vitdets_steps(name):
    """ViTDet's steps at 163,889 and 177,546 of 184,375 iterations, batch 64, after 250 of warm-up from a thousandth."""
    config = read(name)
    assert config.train_cfg.max_iters == round(100 * 118000 / 64) == 184375
    warm_up, steps = config.param_scheduler
    assert (warm_up.type, warm_up.start_factor, warm_up.begin, warm_up.end) == ('WarmUpLR', 0.001, 0, 250)
    assert (steps.type, steps.milestones, steps.gamma) == ('MultiStepLR', [163889, 177546], 0.1)
    assert (steps.begin, steps.end) == (0, 184375)
    assert not warm_up.by_epoch and not steps.by_epoch
    assert config.auto_scale_lr.base_batch_size == 64


@pytest.mark.parametrize('end', ['.py', ''])
def test_a_shipped_config_is_found_by_its_name(end, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_config_file(f'mask_rcnn_hiera_b{end}').to_dict() == read('mask_rcnn_hiera_b.py').to_dict()


def test_a_file_of_the_same_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'mask_rcnn_hiera_b.py').write_text('mine = True\n')
    assert read_config_file('mask_rcnn_hiera_b.py').mine


def test_a_misspelt_name_is_told_the_right_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match='does not exist; did you mean mask_rcnn_hiera_b. .*configs lists'):
        read_config_file('maskrcnn_hiera_b')


def test_configs_inherit_by_mmengines_own_way_of_naming_packages(tmp_path):
    (tmp_path / 'mine.py').write_text(
        "_base_ = 'hiera_mm::mask_rcnn_hiera_b.py'\nmodel = dict(backbone=dict(arch='s'))\n"
    )
    config = Config.fromfile(tmp_path / 'mine.py')
    expected = read('mask_rcnn_hiera_b.py')
    expected.model.backbone.arch = 's'
    assert config.to_dict() == expected.to_dict()
    assert get_config('hiera_mm::mask_rcnn_hiera_b.py').to_dict() == read('mask_rcnn_hiera_b.py').to_dict()
    assert get_config('mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py').model.type == 'FasterRCNN'


def test_a_base_that_does_not_exist_is_named(tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = 'hiera_mm::mask_rcnn_hiera_x.py'\n")
    with pytest.raises(UserError, match="The config '.*mine.py' can't be read: .*mask_rcnn_hiera_x.py"):
        read_config_file(str(tmp_path / 'mine.py'))
