"""Losses of class scores: mmcv's operators in torch's own."""

import torch
from torch import Tensor

MIN_PROBABILITY = torch.finfo(torch.float32).tiny
"""Below which a probability counts as this, in a logarithm."""


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Focal loss (Lin et al., ICCV 2017, arXiv 1708.02002), equation 5: fill ``output`` ``(N, classes)``.

    Args:
        input: Logits ``(N, classes)``.
        target: Numbers of classes ``(N,)``; the number of classes for none.
        weight: Of each class, ``(classes,)``, or empty.
        output: Written in place.
        gamma: Exponent of the other side's probability.
        alpha: Weight of the right class; of all others it is the rest to 1.
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
    """Focal loss of probabilities that sum up to 1: fill ``output`` ``(N,)``; as :func:`sigmoid_focal_loss_forward`
    but for ``input``, probabilities ``(N, classes)``, and for targets below 0, which are none."""
    p, known = _of_target(input, target)
    loss = -alpha * (1 - p) ** gamma * p.clamp(min=MIN_PROBABILITY).log()
    output.copy_(loss * known * _weights(weight, target.clamp(min=0)).reshape(-1))


def softmax_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, buff: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Gradient of :func:`softmax_focal_loss_forward` with respect to the logits, into ``grad_input``."""
    p, known = _of_target(input, target)
    slope = alpha * (gamma * (1 - p) ** (gamma - 1) * p * p.clamp(min=MIN_PROBABILITY).log() - (1 - p) ** gamma)
    slope = slope * known * _weights(weight, target.clamp(min=0)).reshape(-1)
    grad_input.copy_(slope[:, None] * (_is_class(input, target).float() - input.float()))


def _of_target(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Probability of the right class of each row, and whether there is one."""
    return input.float().gather(1, target.clamp(min=0)[:, None])[:, 0], target >= 0


def _is_class(input: Tensor, target: Tensor) -> Tensor:
    return torch.arange(input.shape[1], device=input.device) == target[:, None]


def _weights(weight: Tensor, target: Tensor) -> Tensor:
    """``(N, 1)``."""
    return weight.float()[target][:, None] if weight.numel() else weight.new_ones(1, 1)
