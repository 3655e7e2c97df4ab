"""Learning rates of runs of any length, against schedules made by hand."""

import math
import re

from hiera_mm.engine import WarmUpLR

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

from tests.helpers import ROOT

LENGTHS = range(1, 101)
RATE = 1.0


def schedulers(name, **constants):
    """The schedule of a shipped file, computed with other constants."""
    text = (ROOT / 'configs' / '_base_' / 'schedules' / f'{name}.py').read_text()
    for constant, value in constants.items():
        text, count = re.subn(rf'^{constant} = .*$', f'{constant} = {value}', text, flags=re.MULTILINE)
        assert count == 1
    names = {}
    exec(text, names)  # noqa: S102, this suite's own file
    return names['param_scheduler']


def rates(found, steps, epoch_length=None):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    wrapper = OptimWrapper(optimizer)
    wrapper._global_step = 0
    built = []
    for each in found:
        each = dict(each)
        if each.pop('convert_to_iter_based', False):
            each['convert_to_iter_based'], each['epoch_length'] = True, epoch_length
        built.append(PARAM_SCHEDULERS.build(each, default_args=dict(optimizer=wrapper)))
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]['lr'])
        for scheduler in built:
            scheduler.step()
    return seen


def by_hand(step, warm_up, start):
    return start + (1 - start) * step / (warm_up - 1) if step < warm_up and warm_up > 1 else 1.0


@pytest.mark.parametrize('length', LENGTHS)
def test_detection(length):
    warm_up = max(1, min(250, round(0.05 * length)))
    drops = [max(1, round(length * place / 184375)) for place in (163889, 177546)]
    expected = [
        by_hand(step, warm_up, 0.001) * math.prod(0.1 for drop in drops if step >= drop) for step in range(length)
    ]
    assert rates(schedulers('coco_100e', max_iters=length), length) == pytest.approx(expected)
    assert max(expected) == RATE


@pytest.mark.parametrize('length', LENGTHS)
def test_segmentation(length):
    warm_up = max(1, min(1500, round(0.05 * length)))
    falling = length - warm_up - 1
    expected = [
        by_hand(step, warm_up, 1e-6) * (1 - max(0, step - warm_up) / falling if falling > 0 else 1)
        for step in range(length)
    ]
    assert rates(schedulers('ade20k_160k', max_iters=length), length) == pytest.approx(expected, abs=1e-12)
    assert max(expected) == RATE


@pytest.mark.parametrize(
    'name, start, least', [('kinetics_50e', 0.001, 0.01), ('mae_1600e', 0.001, 0.0), ('btcv_5000e', 0.001, 0.0)]
)
@pytest.mark.parametrize('epoch_length', [1, 2, 7])
def test_runs_by_epochs(name, start, least, epoch_length):
    """The shipped files' own warm-up in epochs; in iterations, even those of an epoch of one iteration."""
    for epochs in (*range(1, 21), 100):
        found = schedulers(name, epochs=epochs)
        warm_up, steps = found[0]['end'] * epoch_length, epochs * epoch_length
        falling = steps - warm_up
        expected = []
        for step in range(steps):
            cosine = (1 + math.cos(math.pi * max(0, step - warm_up) / falling)) / 2 if falling else 1
            expected.append(by_hand(step, warm_up, start) * (least + (1 - least) * cosine))
        assert rates(found, steps, epoch_length) == pytest.approx(expected, abs=1e-12)
        assert max(expected) == RATE


@pytest.mark.parametrize('epoch_length', [1, 2, 3, 10, 100])
def test_a_warm_up_of_a_part_of_an_epoch(epoch_length):
    found = [dict(type='WarmUpLR', start_factor=0.01, begin=0, end=0.17, convert_to_iter_based=True)]
    warm_up = int(0.17 * epoch_length)
    expected = [by_hand(step, warm_up, 0.01) for step in range(2 * epoch_length)]
    assert rates(found, 2 * epoch_length, epoch_length) == pytest.approx(expected)


def test_a_warm_up_of_more_steps_is_that_of_mmengine():
    for steps in (2, 3, 10):
        ours, theirs = (
            rates([dict(type=kind, start_factor=0.1, by_epoch=False, begin=0, end=steps)], 20)
            for kind in ('WarmUpLR', 'LinearLR')
        )
        assert ours == theirs and max(ours) == pytest.approx(RATE)
    assert rates([dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=1)], 5) == [0.1] * 5
    assert WarmUpLR.__name__ in PARAM_SCHEDULERS.module_dict
