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


def scaled_steps(count, fused, gradient=1.0, clip=False):
    """As an fp16 run makes them, of whose gradients the first overflow."""
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([parameter], fused=fused)
    scaler = torch.amp.GradScaler('cpu')
    hook = StopOnInvalidLossHook()
    hook.before_train(SimpleNamespace(optim_wrapper=SimpleNamespace(optimizer=optimizer, loss_scaler=scaler)))
    norms = []
    for iteration in range(count):
        optimizer.zero_grad()
        half = parameter.half()
        loss = (gradient(half) if callable(gradient) else gradient * half).sum().float()
        scaler.scale(loss).backward()
        if clip:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_([parameter], 1.0)
        scaler.step(optimizer)
        norms.append(None if hook.norm is None else hook.norm.item())
        scaler.update()
        hook.after_train_iter(SimpleNamespace(iter=iteration), 0, outputs=dict(loss=loss))
    return norms, parameter


@pytest.mark.parametrize('fused', [False, True])
@pytest.mark.parametrize('clip', [False, True])
def test_steps_that_a_loss_scaler_skips_do_not_stop_the_run(fused, clip):
    norms, parameter = scaled_steps(8, fused, gradient=8.0, clip=clip)
    assert (parameter < 1).all(), 'it went on to steps that count'
    skipped = 0.0 if fused else None
    expected = 1.0 if clip else 8 * 2**0.5
    assert norms[0] == skipped and norms[-1] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('fused', [False, True])
def test_gradients_that_overflow_whatever_the_scale_stop_the_run(fused):
    with pytest.raises(UserError, match='still overflow in fp16 with a loss scale of 4.76837e-07.*dtype=bfloat16'):
        scaled_steps(200, fused, gradient=InfiniteGradient.apply)


class InfiniteGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.full_like(gradient, float('inf'))
