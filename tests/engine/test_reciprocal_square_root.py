"""The reciprocal-square-root learning rate against the closed form, alone, after a warm-up, and by epochs."""

from hiera_mm.engine import ReciprocalSquareRootLR
from hiera_mm.errors import UserError

import pytest
import torch
from mmengine.optim import LinearLR
from mmengine.registry import PARAM_SCHEDULERS


def optimizer_of(*rates):
    return torch.optim.SGD([dict(params=[torch.nn.Parameter(torch.zeros(1))], lr=lr) for lr in rates], lr=1.0)


def rates_over(optimizer, schedulers, steps):
    """Learning rates of the last group that ``steps`` iterations see."""
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[-1]['lr'])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return seen


def closed_form(step, timescale, begin, end, cool_down):
    """As in the code of arXiv 2106.04560 (big_vision)."""
    cooling = min(1.0, (end - step) / cool_down) if cool_down else 1.0
    return cooling / (1 + (step - begin) / timescale) ** 0.5


@pytest.mark.parametrize('cool_down', [0, 15, 50])
def test_it_falls_with_the_root_and_then_straight_to_zero(cool_down):
    optimizer = optimizer_of(3.0)
    scheduler = ReciprocalSquareRootLR(optimizer, timescale=10, cool_down=cool_down, end=50, by_epoch=False)
    expected = [3 * closed_form(step, 10, 0, 50, cool_down) for step in range(50)]
    assert rates_over(optimizer, [scheduler], 50) == pytest.approx(expected)


def test_it_goes_on_from_a_warm_up_in_every_group():
    optimizer = optimizer_of(1.0, 0.25)
    schedulers = [
        LinearLR(optimizer, start_factor=0.1, end=10, by_epoch=False),
        ReciprocalSquareRootLR(optimizer, timescale=4, cool_down=5, begin=10, end=40, by_epoch=False),
    ]
    rates = rates_over(optimizer, schedulers, 40)
    assert rates[:10] == pytest.approx([0.25 * (0.1 + 0.1 * step) for step in range(10)])
    assert rates[10:] == pytest.approx([0.25 * closed_form(step, 4, 10, 40, 5) for step in range(10, 40)])


def test_it_does_not_depend_on_the_end_before_it_cools_down():
    runs = []
    for end in (60, 100):
        optimizer = optimizer_of(1.0)
        scheduler = ReciprocalSquareRootLR(optimizer, timescale=8, cool_down=10, end=end, by_epoch=False)
        runs.append(rates_over(optimizer, [scheduler], 50))
    assert runs[0] == pytest.approx(runs[1])


def test_a_config_gives_it_in_epochs_and_it_steps_at_every_iteration():
    optimizer = optimizer_of(1.0)
    settings = dict(timescale=2, cool_down=1, begin=0, end=5, convert_to_iter_based=True)
    scheduler = PARAM_SCHEDULERS.build(
        dict(type='ReciprocalSquareRootLR', **settings),
        default_args=dict(optimizer=optimizer, epoch_length=20),
    )
    expected = [closed_form(step, 40, 0, 100, 20) for step in range(100)]
    assert rates_over(optimizer, [scheduler], 100) == pytest.approx(expected)


def test_a_resumed_run_goes_on_with_the_same_rates():
    whole, first, second = optimizer_of(1.0), optimizer_of(1.0), optimizer_of(1.0)
    make = dict(timescale=5, cool_down=10, end=40, by_epoch=False)
    expected = rates_over(whole, [ReciprocalSquareRootLR(whole, **make)], 40)
    scheduler = ReciprocalSquareRootLR(first, **make)
    rates_over(first, [scheduler], 25)
    resumed = ReciprocalSquareRootLR(second, **make)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    assert rates_over(second, [resumed], 15) == pytest.approx(expected[25:])


@pytest.mark.parametrize('timescale, cool_down', [(0, 0), (5, 41), (5, -1)])
def test_what_it_cannot_do_is_refused_with_a_sentence(timescale, cool_down):
    with pytest.raises(
        UserError, match="needs a positive 'timescale' and a 'cool_down' between 0 and end - begin = 40"
    ):
        ReciprocalSquareRootLR(optimizer_of(1.0), timescale, cool_down, end=40, by_epoch=False)
