"""Mask2Former with Hiera: its configs build, learn and predict at reduced depth, and take classes of one's own."""

from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.engine.run_length import set_run_length
from hiera_mm.errors import UserError
from hiera_mm.evaluation import panoptic as scoring
from hiera_mm.settings import read_config
from hiera_mm.tasks import faults_of, load, task_of
from hiera_mm.tasks.detection.heads import class_count

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS, MODELS

from tests.families import inputs
from tests.helpers import CONFIGS, read, save_random_weights

NAMES = [name for name in CONFIGS if name.startswith('mask2former') and 'shapes' not in name]


def reduced(name):
    """With the widths of the config, fewer blocks and layers, and padding to small pictures."""
    config = read(name)
    model = config.model
    model.data_preprocessor.batch_augments[0].size = (128, 128)
    model.panoptic_head.pixel_decoder.encoder.num_layers = model.panoptic_head.transformer_decoder.num_layers = 1
    arch = dict(ARCHITECTURES[model.backbone.arch], depths=(1, 1, 2, 1))
    model.backbone.update(arch=arch, init_cfg=None, global_blocks=(3,), drop_path_rate=0.0)
    return config, MODELS.build(model)


def test_the_configs_of_the_table_are_there():
    assert set(NAMES) == {f'mask2former_hiera_{s}_{k}.py' for s in ('t', 'b', 'l') for k in ('coco', 'coco_panoptic')}


# Hiera-T's stand for the others.
@pytest.mark.parametrize(
    'name', [pytest.param(name, marks=() if '_t_' in name else pytest.mark.slow) for name in NAMES]
)
def test_it_runs_forward_and_backward_at_reduced_depth(name):
    config, detector = reduced(name)
    batch = detector.data_preprocessor(inputs(config.model), training=True)
    loss, _ = detector.parse_losses(detector(**batch, mode='loss'))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is not None for key, p in detector.named_parameters() if key.startswith('backbone'))
    detector.eval()
    with torch.no_grad():
        (found, _) = detector.test_step(inputs(config.model))
    assert found.pred_instances.masks.shape[1:] == (128, 128)
    assert ('pred_panoptic_seg' in found) == name.endswith('panoptic.py')


@pytest.mark.parametrize('name', NAMES[:2])
def test_the_backbone_learns_at_a_tenth_and_its_norms_and_tables_do_not_decay(name):
    config, detector = reduced(name)
    groups = build_optim_wrapper(detector, config.optim_wrapper).optimizer.param_groups
    of = {id(p): (round(group['lr'], 9), group['weight_decay']) for group in groups for p in group['params']}
    found = {key: of[id(p)] for key, p in detector.named_parameters()}
    assert found['backbone.pos_embed'] == found['backbone.pos_embed_window'] == (1e-5, 0)
    assert found['backbone.blocks.3.norm1.weight'] == found['backbone.out_norms.0.bias'] == (1e-5, 0)
    assert found['backbone.blocks.3.attn.qkv.weight'] == (1e-5, 0.05)
    assert found['panoptic_head.query_feat.weight'] == (1e-4, 0)
    assert found['panoptic_head.mask_embed.0.weight'] == (1e-4, 0.05)


OWN = """_base_ = 'hiera_mm::mask2former_hiera_t_{kind}.py'
data_root = '{folder}/'
classes = ('circle', 'bar', 'triangle')
train_ann_file, val_ann_file = 'annotations/instances_train.json', 'annotations/instances_val.json'
train_data_prefix, val_data_prefix = 'train/', 'val/'
"""


def own(tmp_path, folder, kind):
    path = tmp_path / 'mine.py'
    path.write_text(OWN.format(folder=folder, kind=kind))
    return read_config(str(path))


def test_classes_of_ones_own_reach_the_head_the_loss_and_the_joining_of_masks(tmp_path, shapes):
    config = own(tmp_path, shapes, 'coco')
    head = config.model.panoptic_head
    assert (
        head.num_things_classes
        == config.model.panoptic_fusion_head.num_things_classes
        == class_count(config.model)
        == 3
    )
    assert head.loss_cls.class_weight == [1.0, 1.0, 1.0, 0.1]
    assert not [fault for fault in faults_of(config, count=0) if fault.severity.name != 'NOTE']
    head.num_things_classes = 80
    (fault,) = [fault.sentence for fault in faults_of(config, ['train_dataloader'], count=0)][:1]
    assert 'predicts 80 classes (model.panoptic_head' in fault


def test_things_and_stuff_are_not_told_apart_by_one_list(tmp_path, shapes):
    with pytest.raises(UserError, match='things and stuff'):
        own(tmp_path, shapes, 'coco_panoptic')


@pytest.mark.parametrize('size', ['t', 'b', 'l'])
def test_the_checkpoint_hook_knows_that_more_panoptic_quality_is_better(size):
    hook = HOOKS.build(read(f'mask2former_hiera_{size}_coco_panoptic.py').default_hooks.checkpoint)
    assert hook.key_indicators == ['coco_panoptic/PQ'] and hook.rules == ['greater']


def test_a_run_that_can_not_score_panoptic_quality_is_refused(monkeypatch):
    config = read('mask2former_hiera_t_coco_panoptic.py')
    monkeypatch.setattr(scoring.importlib.util, 'find_spec', lambda name: None)
    said = [fault.sentence for fault in faults_of(config, ['val_dataloader'], count=0)]
    assert any('pip install --no-deps panopticapi-lite' in sentence for sentence in said)


OWN_PANOPTIC = """_base_ = 'hiera_mm::mask2former_hiera_t_coco_panoptic.py'
data_root = '{folder}/'
thing_classes, stuff_classes = ('triangle', 'circle', 'bar'), ('dots', 'stripes')
train_ann_file, val_ann_file = 'annotations/panoptic_train.json', 'annotations/panoptic_val.json'
train_data_prefix = dict(img='train/', seg='annotations/panoptic_train/')
val_data_prefix = dict(img='val/', seg='annotations/panoptic_val/')
batch_size = 2
{more}
"""


def own_panoptic(tmp_path, folder, more=''):
    path = tmp_path / 'mine.py'
    path.write_text(OWN_PANOPTIC.format(folder=folder, more=more))
    config = read_config(str(path))
    set_run_length(config, task_of(config), str(path))
    return config


def test_things_and_stuff_of_ones_own_reach_heads_loss_and_evaluators(tmp_path, panoptic):
    config = own_panoptic(tmp_path, panoptic)
    for part in (config.model.panoptic_head, config.model.panoptic_fusion_head):
        assert (part.num_things_classes, part.num_stuff_classes) == (3, 2)
    assert config.model.panoptic_head.loss_cls.class_weight == [1.0] * 5 + [0.1]
    assert [(e.type, e.seg_prefix) for e in config.val_evaluator] == [
        ('CocoPanopticMetric', f'{panoptic}/annotations/panoptic_val/')
    ]
    assert not [fault for fault in faults_of(config) if fault.severity.name != 'NOTE']


@pytest.mark.parametrize(
    'more, length',
    [('epochs = 6', 12), ('max_iters = 8', 8), ('train_cfg = dict(max_iters=8, val_interval=4)', 8)],
)
def test_a_panoptic_run_takes_a_length_of_ones_own(tmp_path, panoptic, more, length):
    config = own_panoptic(tmp_path, panoptic, more)
    assert config.train_cfg.max_iters == config.param_scheduler[0].end == length


def test_a_trained_one_predicts_named_objects_with_masks(tmp_path, shapes):
    model = load(save_random_weights('configs/mask2former_hiera_t_shapes.py', tmp_path / 'model.pth'), device='cpu')
    found = model.predict(str(next((shapes / 'val').glob('*.png'))))
    assert model.names == ['circle', 'bar', 'triangle'] and len(found) == 20
    assert found.masks.shape[0] == 20 and found.masks.any()
