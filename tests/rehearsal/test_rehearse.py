"""A rehearsal passes what runs, and finds what would not, each fault at its stage and in a sentence."""

import shutil

from hiera_mm.config import read_config_file
from hiera_mm.rehearsal import rehearse
from hiera_mm.settings import read_config
from hiera_mm.tasks import task_of

import pytest
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from tests.helpers import ROOT, forget_earlier_runs

CONFIGS = ROOT / 'configs'
BASE = "_base_ = '{}'\n"
SHAPES, MOTION = CONFIGS / 'mask_rcnn_hiera_t_shapes.py', CONFIGS / 'k400_hiera_t_shapes.py'


@pytest.fixture
def rehearsed(tmp_path, monkeypatch):
    """``rehearsed(config_text_or_path, **options)`` gives the stages by name; nothing is written beside them."""
    (tmp_path / 'here').mkdir()
    monkeypatch.chdir(tmp_path / 'here')

    def run(config, **options):
        path = config
        if isinstance(config, str):
            path = tmp_path / 'config.py'
            path.write_text(config)
        forget_earlier_runs()
        config = read_config_file(str(path))
        stages = rehearse(config, task_of(config), tmp_path / 'rehearsal', **options)
        assert not list((tmp_path / 'here').iterdir())
        return {stage.name: stage for stage in stages}

    return run


def assert_passed(stages):
    failed = {name: stage.words for name, stage in stages.items() if stage.outcome == 'failed'}
    assert not failed
    assert {stage.outcome for stage in stages.values()} <= {'passed', 'left out'}


NARROW = {
    'mask_rcnn_hiera_b.py': """model = dict(
    neck=dict(out_channels=16),
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, conv_out_channels=16, fc_out_channels=16),
        mask_roi_extractor=dict(out_channels=16),
        mask_head=dict(in_channels=16, conv_out_channels=16),
    ),
)
""",
    'unetr_hiera_t_shapes.py': 'model = dict(decoder=dict(channels=2))\n',
}
"""Widths of decoders that take most of the time, and which a tiny model keeps."""

DAILY = {
    'mask_rcnn_hiera_b.py': 64,
    'segformer_hiera_b_ade20k.py': 64,
    'in1k_hiera_b.py': 64,
    'k400_hiera_b.py': 64,
    'ava_hiera_b.py': 64,
    'mae_hiera_b.py': 64,
    'distill_hiera_t_from_l.py': 64,
    'unetr_hiera_t_shapes.py': 32,
    'mask2former_hiera_t_shapes_panoptic.py': 64,
}
"""Sides of pictures in pixels."""


@pytest.mark.parametrize('name', DAILY)
def test_one_config_of_each_task_passes_every_stage(rehearsed, name):
    """As shipped, but for the width of the model and the size of pictures."""
    stages = rehearsed(BASE.format(CONFIGS / name) + NARROW.get(name, ''), tiny=True, size=DAILY[name])
    assert_nothing_is_left_out(stages, name)


WHOLE = (
    'mask_rcnn_hiera_b.py',
    'inat2018_hiera_h_448.py',
    'places365_hiera_b.py',
    'ssv2_hiera_l_32f.py',
    'mae_hiera_b_k400.py',
    'distill_hiera_t_from_l_masked.py',
    'distill_hiera_s_from_sam2.py',
    'cascade_mask_rcnn_hiera_b.py',
    'ava_kinetics_hiera_l.py',
)


@pytest.mark.slow
@pytest.mark.parametrize('name', WHOLE)
def test_more_configs_pass_every_stage(rehearsed, name):
    assert_nothing_is_left_out(rehearsed(CONFIGS / name, tiny=True, size=256), name)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['unetr_hiera_b_btcv.py', 'unetr_hiera_b_btcv_128.py', 'mae_hiera_t_volumes.py'])
def test_configs_of_volumes_pass_every_stage(rehearsed, name):
    assert_passed(rehearsed(CONFIGS / name, tiny=True, size=64))


def assert_nothing_is_left_out(stages, name):
    assert_passed(stages)
    left_out = {stage for stage, found in stages.items() if found.outcome == 'left out'}
    without_labels = name.startswith(('mae_', 'distill_'))
    assert left_out == ({'validation', 'best checkpoint', 'test', 'prediction file'} if without_labels else set())
    assert 'generated data in its format are used' in stages['data'].words[0]
    assert 'learning rate' in stages['loaders and schedule'].words[0]
    assert sum(stage.seconds for stage in stages.values()) > 0


@pytest.mark.slow
def test_the_whole_model_is_rehearsed_where_it_is_not_cut(rehearsed):
    stages = rehearsed(SHAPES)
    assert_passed(stages)
    # 29 million parameters, in float32 with two moments of AdamW.
    assert 'iter_450.pth, 3' in stages['checkpoint'].words[0]
    assert stages['first iterations'].memory is None or stages['first iterations'].memory > 2**28


DETECTOR, VIDEO, MAE = BASE.format(SHAPES), BASE.format(MOTION), BASE.format(CONFIGS / 'mae_hiera_t_shapes.py')
FAULTS = {
    'a validation batch that the model refuses': (
        VIDEO + "model = dict(type='Recognizer3D', test_cfg=dict(max_testing_views=5))",
        'validation',
        'takes model.test_cfg.max_testing_views only with batches of one video; set batch_size=1 in val_dataloader',
    ),
    'a metric that the checkpoint hook does not know': (
        DETECTOR + "default_hooks = dict(checkpoint=dict(save_best='coco/bbox_mAP_5'))",
        'best checkpoint',
        "the best checkpoint by 'coco/bbox_mAP_5', a metric that no evaluator gives; set "
        "default_hooks.checkpoint.save_best to one of 'coco/bbox_mAP',",
    ),
    'weights that are not there': (
        DETECTOR
        + "model = dict(backbone=dict(init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='weights/none.pth')))",
        'weights',
        "The checkpoint 'weights/none.pth' does not exist",
    ),
    'weights to start from that are not there': (
        DETECTOR + "load_from = 'weights/none.pth'",
        'weights',
        "The checkpoint 'weights/none.pth' does not exist",
    ),
    'other classes than the head': (
        DETECTOR + 'model = dict(roi_head=dict(bbox_head=dict(num_classes=4), mask_head=dict(num_classes=4)))',
        'data',
        'The model predicts 4 classes (model.roi_head.bbox_head.num_classes), but the data set has 3',
    ),
    'a misspelt key of a pipeline': (
        DETECTOR
        + "steps = _base_.train_pipeline\nsteps[2] = dict(type='Resize', scal=(128, 128))\n"
        + 'train_dataloader = dict(dataset=dict(pipeline=steps))',
        'loaders and schedule',
        "The config key 'scal' does not exist on Resize; correct its spelling",
    ),
    'a misspelt type of a hook': (
        DETECTOR + "custom_hooks = [dict(type='EMAHok')]",
        'model',
        'The config names a type that is not registered: EMAHok',
    ),
    'a misspelt type of a data set': (
        DETECTOR + "train_dataloader = dict(dataset=dict(type='CocoDatset'))",
        'loaders and schedule',
        'The config names a type that is not registered: CocoDatset',
    ),
    'a misspelt key of the optimizer': (
        DETECTOR + 'optim_wrapper = dict(optimizer=dict(weigth_decay=0.1))',
        'loaders and schedule',
        "The config key 'weigth_decay' does not exist on AdamW",
    ),
    'a neck for maps of other widths': (
        DETECTOR + 'model = dict(neck=dict(in_channels=[112, 224, 448, 896]))',
        'first iterations',
        'In model.neck.lateral_convs.0.conv (Conv2d): RuntimeError: Given groups=1, weight of size [64, 112, 1, 1]',
    ),
    'a schedule that counts epochs where the loop counts iterations': (
        DETECTOR + "param_scheduler = [dict(type='CosineAnnealingLR', T_max=100)]",
        'loaders and schedule',
        'CosineAnnealingLR (param_scheduler.0) counts epochs, but the training loop counts iterations',
    ),
    'checkpoints that count epochs where the loop counts iterations': (
        DETECTOR + 'default_hooks = dict(checkpoint=dict(by_epoch=True))',
        'checkpoint',
        'set default_hooks.checkpoint.by_epoch=False.',
    ),
    'an epoch that never ends': (
        DETECTOR + "train_cfg = dict(_delete_=True, type='EpochBasedTrainLoop', max_epochs=2)\nparam_scheduler = []",
        'first iterations',
        'InfiniteSampler of train_dataloader never ends, where the loop waits for its end; set train_dataloader.',
    ),
    'a validation that never ends': (
        VIDEO + "val_dataloader = dict(sampler=dict(type='InfiniteSampler', shuffle=False))",
        'validation',
        'InfiniteSampler of val_dataloader never ends, where the loop waits for its end; set val_dataloader.',
    ),
    'a metric that early stopping does not know': (
        VIDEO + "custom_hooks = [dict(type='EarlyStoppingHook', monitor='acc/top10')]",
        'validation',
        "EarlyStoppingHook watches 'acc/top10', which no evaluator gives, so that it would never stop the run",
    ),
    'a test that leaves samples out': (
        VIDEO + 'test_dataloader = dict(drop_last=True)',
        'prediction file',
        '24 samples were tested, but there are 16 predictions; see test_dataloader.',
    ),
    'a loss that is no number': (
        DETECTOR + 'optim_wrapper = dict(optimizer=dict(lr=1e30), clip_grad=None)\nparam_scheduler = []',
        'first iterations',
        'The loss became invalid at iteration 2',
    ),
    'samples that are not put together': (
        VIDEO + 'train_dataloader = dict(dataset=dict(num_repeats=2))',
        'data',
        "set train_dataloader.collate_fn.type='repeat_pseudo_collate'.",
    ),
    'a validation that is never due': (
        VIDEO + 'train_cfg = dict(val_begin=500)',
        'validation',
        'No validation is due by the end of the training',
    ),
    'a pipeline that gives testing too little': (
        VIDEO
        + "steps = [step for step in _base_.test_pipeline if step['type'] != 'FormatShape']\n"
        + 'test_dataloader = dict(dataset=dict(pipeline=steps))',
        'test',
        'In model.data_preprocessor (ActionDataPreprocessor): RuntimeError: The size of tensor a',
    ),
}


SLOW = {
    'weights to start from that are not there',
    'checkpoints that count epochs where the loop counts iterations',
    'a validation that is never due',
    'a metric that early stopping does not know',
    'a test that leaves samples out',
    'weights that are not there',
}
"""Those whose like is found by a faster one."""


@pytest.mark.parametrize(
    'kind', [pytest.param(kind, marks=pytest.mark.slow if kind in SLOW else ()) for kind in FAULTS]
)
def test_a_fault_is_found_at_its_stage_and_told_in_a_sentence(rehearsed, kind):
    text, stage, said = FAULTS[kind]
    stages = rehearsed(text, tiny=True)
    assert stages[stage].outcome == 'failed', {name: s.words for name, s in stages.items()}
    (sentence,) = stages[stage].words
    assert said in sentence and '\n' not in sentence
    failed = [name for name, s in stages.items() if s.outcome == 'failed']
    assert failed[0] == stage
    reached = [name for name, s in stages.items() if s.outcome == 'passed']
    if stage == 'weights':
        assert failed == ['weights'] and len(reached) == 11, 'all else is rehearsed without them'
    if stage == 'validation':
        assert 'first iterations' in reached and stages['test'].outcome != 'not reached', 'tested all the same'


@pytest.mark.parametrize(
    'base, length',
    [(SHAPES, 'max_iters = 1'), (SHAPES, 'max_iters = 2'), (SHAPES, 'max_iters = 3'), (MOTION, 'epochs = 1')],
)
def test_runs_of_any_length_are_rehearsed(tmp_path, rehearsed, base, length):
    path = tmp_path / 'short.py'
    path.write_text(f"_base_ = '{base}'\n{length}\n")
    config = read_config(str(path))
    stages = {stage.name: stage for stage in rehearse(config, task_of(config), tmp_path / 'rehearsal', True, 64)}
    assert_passed(stages)
    assert stages['validation'].outcome == stages['best checkpoint'].outcome == 'passed'
    assert (stages['resume'].outcome == 'left out') is ('3' not in length)


def test_weights_that_another_config_of_the_folder_makes_are_named_with_it(rehearsed):
    config = CONFIGS / 'k400_hiera_t_shapes_mae.py'
    stages = rehearsed(config, tiny=True)
    assert_passed(stages)
    (words,) = stages['weights'].words
    assert words.endswith(f'does not exist yet: train {CONFIGS}/mae_hiera_t_k400_shapes.py before this run')


@pytest.mark.slow
def test_ones_own_data_are_taken_where_they_are(rehearsed, shapes, tmp_path):
    shutil.copytree(shapes, tmp_path / 'set')
    own = DETECTOR + OWN.format(data=tmp_path / 'set')
    stages = rehearsed(own, tiny=True)
    assert_passed(stages)
    assert stages['data'].words == []
    # 4 images for validation, one at a time: a whole batch and the last one.
    assert stages['prediction file'].words == ['2 predictions, one per sample']

    next((tmp_path / 'set' / 'train').glob('*.png')).unlink()
    stages = rehearsed(own, tiny=True)
    assert stages['data'].outcome == 'failed' and "are not in '" in stages['data'].words[0]


@DATASETS.register_module()
class FromNowhere(BaseDataset):
    """A type that the suite knows nothing of, with data that it finds in its own way."""

    def load_data_list(self):
        return [dict(number=number) for number in range(640)]


def test_data_of_ones_own_type_are_left_to_it(rehearsed):
    text = MAE + "train_dataloader = dict(dataset=dict(_delete_=True, type='FromNowhere', pipeline=[]))"
    stages = rehearsed(text, tiny=True)
    assert stages['data'].outcome == 'passed' and not stages['data'].words
    assert stages['first iterations'].outcome == 'failed', 'such samples are none for the model'


OWN = """
dataset = dict(data_root='{data}/')
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{data}/annotations/instances_val.json')
test_evaluator = val_evaluator
"""


@pytest.mark.slow
def test_an_average_of_weights_goes_through_every_stage(rehearsed):
    assert_passed(rehearsed(DETECTOR + "custom_hooks = [dict(type='EMAHook')]", tiny=True))


def test_nothing_is_sent_to_a_service(rehearsed):
    backends = "[dict(type='LocalVisBackend'), dict(type='WandbVisBackend')]"
    stages = rehearsed(VIDEO + f'visualizer = dict(vis_backends={backends})', tiny=True)
    assert_passed(stages)
    assert stages['model'].words == ['WandbVisBackend left out, so as not to open a run there']
