"""Focal losses: mmcv's operators in plain torch."""

import torch
from torch import Tensor

MIN_PROBABILITY = torch.finfo(torch.float32).tiny
"""Lower bound of probabilities in a logarithm."""


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Focal loss (Lin et al., ICCV 2017, arXiv 1708.02002), equation 5: fill ``output`` ``(N, classes)``.

    Args:
        input: Logits ``(N, classes)``.
        target: Class numbers ``(N,)``; the number of classes means background.
        weight: Weight of each class ``(classes,)``, or empty.
        output: Written in place.
        gamma: Focusing exponent.
        alpha: Weight of the true class; all others have ``1 - alpha``.
    """
    p, is_class = input.float().sigmoid(), _is_class(input, target)
    right = alpha * (1 - p) ** gamma * p.clamp(min=MIN_PROBABILITY).log()
    wrong = (1 - alpha) * p**gamma * (1 - p).clamp(min=MIN_PROBABILITY).log()
    output.copy_(-torch.where(is_class, right, wrong) * _weights(weight, target))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Gradient of :func:`sigmoid_focal_loss_forward` with respect to the logits, into ``grad_input``."""
    p, is_class = input.float().sigmoid(), _is_class(input, target)
    right = alpha * (1 - p) ** gamma * (1 - p - gamma * p * p.clamp(min=MIN_PROBABILITY).log())
    wrong = (1 - alpha) * p**gamma * (gamma * (1 - p) * (1 - p).clamp(min=MIN_PROBABILITY).log() - p)
    grad_input.copy_(-torch.where(is_class, right, wrong) * _weights(weight, target))


def softmax_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Focal loss of softmax probabilities: fill ``output`` ``(N,)``. As :func:`sigmoid_focal_loss_forward`, but
    ``input`` is probabilities ``(N, classes)``, and targets below 0 are ignored."""
    p, known = _target_probability(input, target)
    loss = -alpha * (1 - p) ** gamma * p.clamp(min=MIN_PROBABILITY).log()
    output.copy_(loss * known * _weights(weight, target.clamp(min=0)).reshape(-1))


def softmax_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, buff: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Gradient of :func:`softmax_focal_loss_forward` with respect to the logits, into ``grad_input``."""
    p, known = _target_probability(input, target)
    slope = alpha * (gamma * (1 - p) ** (gamma - 1) * p * p.clamp(min=MIN_PROBABILITY).log() - (1 - p) ** gamma)
    slope = slope * known * _weights(weight, target.clamp(min=0)).reshape(-1)
    grad_input.copy_(slope[:, None] * (_is_class(input, target).float() - input.float()))


def _target_probability(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Probability of each row's true class, and whether it has one."""
    return input.float().gather(1, target.clamp(min=0)[:, None])[:, 0], target >= 0


def _is_class(input: Tensor, target: Tensor) -> Tensor:
    return torch.arange(input.shape[1], device=input.device) == target[:, None]


def _weights(weight: Tensor, target: Tensor) -> Tensor:
    """The weight of each row's class ``(N, 1)``; 1 without weights."""
    return weight.float()[target][:, None] if weight.numel() else weight.new_ones(1, 1)
