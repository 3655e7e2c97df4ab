"""The hook that stops a run whose loss is no number."""

from types import SimpleNamespace

from hiera_mm.engine import StopOnInvalidLossHook
from hiera_mm.errors import UserError

import pytest
import torch


def test_a_finite_loss_passes():
    StopOnInvalidLossHook().after_train_iter(SimpleNamespace(iter=0), 0, outputs=dict(loss=torch.tensor(1.0)))


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
def test_an_invalid_loss_names_the_iteration_and_the_loss(value):
    outputs = dict(loss=torch.tensor(value), loss_cls=torch.tensor(0.5))
    with pytest.raises(UserError, match=rf'invalid at iteration 12 \(loss = {value}, loss_cls = 0.5\)'):
        StopOnInvalidLossHook().after_train_iter(SimpleNamespace(iter=11), 0, outputs=outputs)
