"""The schedule that a rehearsal goes through without training is the one that training goes through."""

from hiera_mm.rehearsal.schedule import Schedule, WholeEpochs

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

from tests.helpers import forget_earlier_runs


@DATASETS.register_module()
class Numbers(Dataset):
    def __len__(self):
        return 10

    def __getitem__(self, index):
        return dict(numbers=torch.tensor([float(index)]))


@MODELS.register_module()
class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.line = nn.Linear(1, 1)

    def forward(self, numbers, mode):
        return dict(loss=self.line(torch.stack(numbers)).square().mean())


class Recorder(Hook):
    def __init__(self):
        self.states = []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.states.append(state_of(runner))


def state_of(runner):
    groups = [(group['lr'], group['momentum']) for group in runner.optim_wrapper.param_groups]
    return groups, [(scheduler.last_step, scheduler._global_step) for scheduler in runner.param_schedulers]


SCHEDULES = {
    'epochs': (
        dict(type='EpochBasedTrainLoop', max_epochs=6),
        [
            dict(type='LinearLR', start_factor=0.1, begin=0, end=2, convert_to_iter_based=True),
            dict(type='MultiStepLR', begin=2, end=6, milestones=[1, 3], gamma=0.5),
        ],
    ),
    'iterations': (
        dict(type='IterBasedTrainLoop', max_iters=18),
        [
            dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=5),
            dict(type='CosineAnnealingLR', by_epoch=False, begin=5, end=18, eta_min=0.001),
            dict(type='CosineAnnealingMomentum', by_epoch=False, begin=0, end=18, eta_min=0.5),
        ],
    ),
}


def make_runner(folder, kind):
    forget_earlier_runs()
    loop, schedule = SCHEDULES[kind]
    sampler = 'DefaultSampler' if kind == 'epochs' else 'InfiniteSampler'
    settings = dict(
        model=dict(type='Line'),
        work_dir=str(folder),
        train_dataloader=dict(
            dataset=dict(type='Numbers'),
            batch_size=4,
            num_workers=0,
            sampler=dict(type=sampler, shuffle=False),
            collate_fn=dict(type='pseudo_collate'),
        ),
        train_cfg=dict(loop),
        optim_wrapper=dict(
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9),
            paramwise_cfg=dict(bias_lr_mult=0.5),
        ),
        param_scheduler=schedule,
        default_scope='mmengine',
    )
    return Runner.from_cfg(Config(settings))


@pytest.mark.parametrize('kind', SCHEDULES)
def test_every_state_is_that_of_training(tmp_path, kind):
    runner, recorder = make_runner(tmp_path / 'real', kind), Recorder()
    runner.register_hook(recorder)
    runner.train()
    assert len(recorder.states) == 18

    for iteration in (1, 4, 9, 17):
        fresh = make_runner(tmp_path / 'fresh', kind)
        fresh._train_loop = fresh.build_train_loop(fresh._train_loop)
        fresh.optim_wrapper = fresh.build_optim_wrapper(fresh.optim_wrapper)
        fresh.param_schedulers = fresh.build_param_scheduler(fresh.param_schedulers)
        schedule = Schedule(fresh, len(fresh.train_dataloader))
        schedule.go_to(iteration)
        schedule.apply_to(fresh)
        groups, steps = recorder.states[iteration]
        got_groups, got_steps = state_of(fresh)
        assert got_steps == steps
        assert got_groups == [pytest.approx(group) for group in groups]
    expected = [max(rate for rate, _ in groups) for groups, _ in recorder.states]
    assert schedule.rates == pytest.approx(expected)


def test_schedules_of_epochs_are_those_of_the_whole_set_though_it_was_cut(tmp_path):
    """A warm-up over a quarter of an epoch would otherwise have no iteration."""
    forget_earlier_runs()
    config = make_runner(tmp_path, 'epochs').cfg
    config.train_dataloader.dataset = dict(
        type='FewSamples', dataset=config.train_dataloader.dataset, batch_size=4, batches=40
    )
    config.param_scheduler[0].end = 0.25
    forget_earlier_runs()
    runner = WholeEpochs.from_cfg(config)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    warm_up, _ = runner.build_param_scheduler(runner.cfg.param_scheduler)
    assert len(runner.train_dataloader) == 2 and runner.epoch_length == 40
    assert warm_up.end == 10
