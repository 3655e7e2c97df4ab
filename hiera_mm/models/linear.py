"""The linear layer, by the fastest kernel that the processor has."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

FEWEST_ROWS = 512
"""Below this the convolution's preparation of the weights costs more than it gains."""


class Linear(nn.Linear):
    """``nn.Linear``; on a CPU in float32 as a 1 x 1 convolution.

    oneDNN's kernels for that are up to 1.15 times as fast as the BLAS behind torch's linear layers, and add the
    bias on the way.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not _convolution_pays(x):
            return super().forward(x)
        if torch.is_grad_enabled():
            return _Convolved.apply(x, self.weight, self.bias)
        return _convolved(x, self.weight, self.bias)


class _Convolved(torch.autograd.Function):
    """Gradients of the input come from the convolution, too; those of the weights are faster from the BLAS."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolved(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _convolved(gradient, weight.t(), None) if of_x else None,
            rows.t() @ x.reshape(-1, x.shape[-1]) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    rows = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
    mixed = F.conv2d(rows, weight[:, :, None, None], bias)
    return mixed.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def _convolution_pays(x: Tensor) -> bool:
    if x.device.type != 'cpu' or torch.compiler.is_compiling():
        return False
    enough = x.numel() >= FEWEST_ROWS * x.shape[-1]
    return enough and x.dtype == torch.float32 and torch.backends.mkldnn.is_available()
