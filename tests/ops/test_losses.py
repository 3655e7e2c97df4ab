"""Focal losses, against mmdet's in plain torch and torch's own gradients."""

import hiera_mm  # noqa: F401  (installs the stand-in)

import pytest
import torch
from mmcv.ops import sigmoid_focal_loss, softmax_focal_loss
from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss

TARGETS = [0, 2, 3, 1, 3]
"""Of three classes; 3 is none."""


@pytest.mark.parametrize('gamma, alpha', [(2.0, 0.25), (1.5, 0.6), (0.0, 0.5)])
def test_the_sigmoid_loss_and_its_gradient_are_those_of_plain_torch(gamma, alpha, device):
    # A GPU's exponentials are rounded otherwise.
    tolerance = {} if device == 'cpu' else dict(rtol=1e-5, atol=1e-5)
    logits, targets = (3 * torch.randn(5, 3)).requires_grad_(), torch.tensor(TARGETS)
    found = sigmoid_focal_loss(logits, targets, gamma, alpha, None, 'none')
    one_hot = torch.nn.functional.one_hot(targets, 4)[:, :3]
    expected = py_sigmoid_focal_loss(logits, one_hot, gamma=gamma, alpha=alpha, reduction='none')
    torch.testing.assert_close(found, expected, **tolerance)
    upstream = torch.rand(5, 3)
    (got,) = torch.autograd.grad(found, logits, upstream)
    (want,) = torch.autograd.grad(expected, logits, upstream)
    torch.testing.assert_close(got, want, **tolerance)


def test_weights_are_those_of_the_classes_and_sums_and_means_are_over_all():
    logits, weight = torch.randn(4, 3), torch.tensor([1.0, 2.0, 0.5])
    targets = torch.tensor([0, 1, 2, 1])
    plain = sigmoid_focal_loss(logits, targets, 2.0, 0.25, None, 'none')
    weighted = sigmoid_focal_loss(logits, targets, 2.0, 0.25, weight, 'none')
    torch.testing.assert_close(weighted, plain * weight[targets][:, None])
    torch.testing.assert_close(sigmoid_focal_loss(logits, targets, 2.0, 0.25, None, 'sum'), plain.sum())
    torch.testing.assert_close(sigmoid_focal_loss(logits, targets, 2.0, 0.25, None, 'mean'), plain.sum() / 4)


def test_far_logits_give_finite_losses_and_gradients():
    logits = torch.tensor([[-200.0, 200.0]]).requires_grad_()
    for dtype in (torch.float32, torch.float16):
        loss = sigmoid_focal_loss(logits.to(dtype), torch.tensor([0]), 2.0, 0.25, None, 'sum')
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.isfinite() and gradient.isfinite().all() and gradient[0, 0] < 0 < gradient[0, 1]


def test_the_softmax_loss_and_its_gradient_are_those_of_the_formula():
    logits = torch.randn(5, 4).requires_grad_()
    targets = torch.tensor([0, 2, 3, 1, 3])
    found = softmax_focal_loss(logits, targets, 2.0, 0.25, None, 'sum')
    p = logits.softmax(1).gather(1, targets[:, None])[:, 0]
    expected = (-0.25 * (1 - p) ** 2 * p.log()).sum()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(torch.autograd.grad(found, logits)[0], torch.autograd.grad(expected, logits)[0])


def test_targets_below_0_have_neither_a_softmax_loss_nor_a_gradient():
    logits = torch.randn(3, 4).requires_grad_()
    found = softmax_focal_loss(logits, torch.tensor([1, -1, 2]), 2.0, 0.25, None, 'sum')
    (gradient,) = torch.autograd.grad(found, logits)
    alone = softmax_focal_loss(logits[[0, 2]], torch.tensor([1, 2]), 2.0, 0.25, None, 'sum')
    torch.testing.assert_close(found, alone)
    assert (gradient[1] == 0).all() and (gradient[[0, 2]] != 0).all()


def test_targets_below_0_are_no_class_in_the_sigmoid_loss():
    logits = torch.randn(2, 3).requires_grad_()
    losses, gradients = [], []
    for target in (-1, 3):
        found = sigmoid_focal_loss(logits, torch.full((2,), target), 2.0, 0.25, None, 'none')
        losses.append(found.detach())
        gradients.append(torch.autograd.grad(found.sum(), logits)[0])
    assert torch.equal(*losses) and torch.equal(*gradients) and (gradients[0] > 0).all()
