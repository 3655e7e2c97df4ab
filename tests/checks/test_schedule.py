"""Faults of a run that would show after hours are told before it starts."""

from hiera_mm.checks.schedule import faults_of_schedule

import pytest
from mmengine.config import Config, ConfigDict

from tests.helpers import ROOT


@pytest.fixture
def config():
    return Config.fromfile(ROOT / 'configs' / 'mask_rcnn_hiera_t.py')


def sentences(config):
    return [fault.sentence for fault in faults_of_schedule(config)]


@pytest.mark.parametrize(
    'name', ['mask_rcnn_hiera_t', 'faster_rcnn_hiera_b', 'k400_hiera_b', 'mae_hiera_b', 'ava_hiera_l']
)
def test_shipped_configs_have_none(name):
    assert sentences(Config.fromfile(ROOT / 'configs' / f'{name}.py')) == []


def test_a_loop_of_epochs_on_an_endless_sampler_is_told(config):
    config.train_cfg = ConfigDict(type='EpochBasedTrainLoop', max_epochs=2, val_interval=1)
    (said,) = sentences(config)
    assert 'InfiniteSampler' in said and 'set epochs = 2 at the top of the config' in said
    config.train_cfg = ConfigDict(by_epoch=True, max_epochs=2)
    assert len(sentences(config)) == 1
    config.train_dataloader.sampler.type = 'DefaultSampler'
    assert sentences(config) == []


def test_a_schedule_of_epochs_in_a_loop_of_iterations_is_told(config):
    config.param_scheduler = [dict(type='MultiStepLR', milestones=[3])]
    (said,) = sentences(config)
    assert 'param_scheduler.0 (MultiStepLR) counts epochs' in said


@pytest.mark.parametrize('wrong', ['segm_mAP', 'coco/bbox_map', ['coco/bbox_mAP', 'mAP']])
def test_a_metric_to_keep_the_best_by_that_nobody_gives_is_told(config, wrong):
    config.default_hooks.checkpoint.save_best = wrong
    (said,) = sentences(config)
    assert 'save_best is ' in said and 'coco/bbox_mAP, coco/bbox_mAP_50' in said and 'coco/segm_mAP' in said
    for right in ('auto', 'coco/segm_mAP_75', None):
        config.default_hooks.checkpoint.save_best = right
        assert sentences(config) == []


def test_early_stopping_that_watches_nothing_is_told(config):
    config.custom_hooks = [dict(type='EarlyStoppingHook', monitor='bbox_mAP')]
    (said,) = sentences(config)
    assert "custom_hooks.0.monitor is 'bbox_mAP', a metric that no evaluator gives" in said


def test_metrics_that_are_not_known_before_are_left_to_the_run(config):
    config.default_hooks.checkpoint.save_best = 'mine/score'
    config.val_evaluator = [dict(type='DumpResults', out_file_path='x.pkl')]
    assert sentences(config) == []


def test_an_absent_package_of_a_visualiser_is_named(config):
    config.visualizer.vis_backends = [dict(type='LocalVisBackend'), dict(type='ClearMLVisBackend')]
    (said,) = sentences(config)
    assert said.endswith('needs the package clearml; run: pip install clearml')
