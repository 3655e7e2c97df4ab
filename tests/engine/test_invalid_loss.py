"""The hook that stops a run whose loss or gradients are no numbers."""

from types import SimpleNamespace

from hiera_mm.engine import StopOnInvalidLossHook
from hiera_mm.errors import UserError

import pytest
import torch


def step(weight, exponent):
    """What the hook says to an iteration that ends in a step along the gradient of ``weight ** exponent``."""
    parameter = torch.nn.Parameter(torch.tensor([weight, 1.0]))
    optimizer = torch.optim.AdamW([parameter])
    hook = StopOnInvalidLossHook()
    hook.before_train(SimpleNamespace(optim_wrapper=SimpleNamespace(optimizer=optimizer)))
    loss = (parameter**exponent).sum()
    loss.backward()
    optimizer.step()
    hook.after_train_iter(SimpleNamespace(iter=6), 0, outputs=dict(loss=loss))
    # Nothing is left of it for an iteration without a step.
    hook.after_train_iter(SimpleNamespace(iter=7), 0, outputs=dict(loss=torch.tensor(0.0)))
    assert hook.norm is None


def test_a_finite_loss_passes():
    StopOnInvalidLossHook().after_train_iter(SimpleNamespace(iter=0), 0, outputs=dict(loss=torch.tensor(1.0)))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_an_invalid_loss_names_the_iteration_and_the_loss(value):
    outputs = dict(loss=torch.tensor(value), loss_cls=torch.tensor(0.5))
    with pytest.raises(UserError, match=rf'invalid at iteration 12 \(loss = {value}, loss_cls = 0.5\)'):
        StopOnInvalidLossHook().after_train_iter(SimpleNamespace(iter=11), 0, outputs=outputs)


def test_finite_gradients_pass():
    step(weight=3.0, exponent=2.0)


def test_a_finite_loss_with_infinite_gradients_stops_the_run():
    with pytest.raises(UserError, match=r'at iteration 7 \(loss = 1, norm of the gradients = inf\)'):
        step(weight=0.0, exponent=0.5)
