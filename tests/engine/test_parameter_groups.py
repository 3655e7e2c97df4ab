"""Groups of an optimizer: as few as there are settings, with the same steps, and old checkpoints go on."""

import copy

from hiera_mm.engine.parameter_groups import merge_equal, regroup

import pytest
import torch
import torch.nn as nn
from mmengine.optim import DefaultOptimWrapperConstructor as PlainConstructor
from mmengine.optim import MultiStepLR, build_optim_wrapper
from mmengine.registry import MODELS

from tests.helpers import TINY, assert_same_weights, options, read

NO_VALIDATION = ['val_cfg=None', 'val_dataloader=None', 'val_evaluator=None']


@pytest.mark.parametrize('name, count', [('mask_rcnn_hiera_b.py', 2), ('k400_hiera_l.py', 100), ('mae_hiera_b.py', 2)])
def test_there_are_as_many_groups_as_settings(name, count):
    config = read(name)
    # Its mixup can't be made without numbers.
    config.model.pop('data_preprocessor')
    with torch.device('meta'):
        model = MODELS.build(config.model)
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    settings = [{key: value for key, value in group.items() if key != 'params'} for group in optimizer.param_groups]
    assert len(settings) == count and all(settings.count(each) == 1 for each in settings)
    grouped = [parameter for group in optimizer.param_groups for parameter in group['params']]
    assert {id(p) for p in grouped} == {id(p) for p in model.parameters()} and len(grouped) == len(set(grouped))


def test_settings_are_those_of_mmengine():
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2, bias=False))
    model[2].weight.requires_grad = False
    paramwise = dict(norm_decay_mult=0.0, bias_lr_mult=2.0, custom_keys={'0.weight': dict(lr_mult=0.5)})
    wrapper = dict(optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.1))
    constructor = 'GroupedOptimWrapperConstructor'
    ours = build_optim_wrapper(model, dict(wrapper, constructor=constructor, paramwise_cfg=paramwise)).optimizer
    theirs = PlainConstructor(wrapper, paramwise)(model).optimizer
    expected = {id(group['params'][0]): (group['lr'], group['weight_decay']) for group in theirs.param_groups}
    found = {id(p): (group['lr'], group['weight_decay']) for group in ours.param_groups for p in group['params']}
    assert found == expected and len(ours.param_groups) == 3


def test_a_missing_setting_is_the_optimizers():
    groups = [dict(params=[1], lr=0.1), dict(params=[2]), dict(params=[3], lr=0.1, decay_mult=2, weight_decay=0.2)]
    assert merge_equal(groups, lr=0.1, weight_decay=None) == [
        dict(params=[1, 2], lr=0.1),
        dict(params=[3], lr=0.1, weight_decay=0.2),
    ]


def test_the_state_of_one_group_a_parameter_goes_on_in_merged_groups():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    single = [dict(params=[p], weight_decay=0.1 if p.ndim > 1 else 0.0) for p in model.parameters()]
    old = torch.optim.AdamW(single, lr=1e-2)
    schedule = MultiStepLR(old, milestones=[2], gamma=0.1, by_epoch=False)
    _steps(model, old, schedule, 3)
    saved, at = copy.deepcopy((old.state_dict(), schedule.state_dict())), copy.deepcopy(model.state_dict())
    _steps(model, old, schedule, 2)
    expected = copy.deepcopy(model.state_dict())

    model.load_state_dict(at)
    new = torch.optim.AdamW(merge_equal(single), lr=1e-2)
    schedule = MultiStepLR(new, milestones=[2], gamma=0.1, by_epoch=False)
    assert regroup(saved[0], [saved[1]], new.param_groups, list(model.parameters()))
    new.load_state_dict(saved[0])
    schedule.load_state_dict(saved[1])
    torch.manual_seed(3)
    _steps(model, new, schedule, 2)
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert not regroup(saved[0], [saved[1]], new.param_groups, list(model.parameters())), 'once is enough'


def _steps(model, optimizer, schedule, count):
    for step in range(count):
        torch.manual_seed(step)
        optimizer.zero_grad()
        model(torch.randn(5, 3)).square().sum().backward()
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize('layer_decay', [False, True])
def test_a_run_of_an_earlier_release_goes_on_to_the_bit(run_command, shapes, tmp_path, monkeypatch, layer_decay):
    """Whose checkpoints have a group for each parameter."""
    more = ['train_cfg.max_iters=4', 'default_hooks.checkpoint.interval=2', *NO_VALIDATION, 'randomness.seed=1']
    if layer_decay:
        kind = dict(constructor='DepthLayerDecayConstructor', paramwise_cfg=dict(_delete_=True, layer_decay_rate=0.8))
    else:
        kind = dict(paramwise_cfg=dict(norm_decay_mult=0.0))
    # The norm of all gradients is summed in the order of the groups.
    kind['clip_grad'] = None
    config = tmp_path / 'mine.py'
    config.write_text(f"_base_ = '{TINY}'\noptim_wrapper = {kind}\n")
    with monkeypatch.context() as patch:
        for module in ('parameter_groups', 'layer_decay'):
            patch.setattr(f'hiera_mm.engine.{module}.merge_equal', lambda groups, **_: list(groups))
        code, printed = run_command(
            'train', config, '--verbose', '--work-dir', tmp_path / 'old', *options(shapes, *more)
        )
        assert code == 0, printed
    first = tmp_path / 'old' / 'iter_2.pth'
    saved = torch.load(first, weights_only=False)['optimizer']
    assert len(saved['param_groups']) > 50
    code, printed = run_command(
        'train', config, '--verbose', '--work-dir', tmp_path / 'new', '--resume', first, *options(shapes, *more)
    )
    assert code == 0 and 'Iter(train) [4/4]' in printed, printed
    assert_same_weights(tmp_path / 'old' / 'iter_4.pth', tmp_path / 'new' / 'iter_4.pth')
    groups = torch.load(tmp_path / 'new' / 'iter_4.pth', weights_only=False)['optimizer']['param_groups']
    assert len(groups) < 15
