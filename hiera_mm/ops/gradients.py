"""Gradients of operators that are implemented in plain torch."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def fill_gradients(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], grad_output: Tensor, into: Sequence[Tensor]
) -> None:
    """Write the gradients of ``function(*inputs)`` in place, as mmcv's backward operators do.

    Args:
        function: Computes the output from the inputs.
        inputs: Floating-point tensors.
        grad_output: Gradient of the output.
        into: Tensors with the shapes of the inputs, written in place.
    """
    with torch.enable_grad():
        leaves = [value.detach().requires_grad_() for value in inputs]
        found = torch.autograd.grad(function(*leaves), leaves, grad_output, allow_unused=True)
    for gradient, place in zip(found, into, strict=True):
        if gradient is not None:
            place.copy_(gradient)
