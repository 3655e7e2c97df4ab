"""Everything that makes the model faster on a processor, behind one swap; the model is right without it.

:func:`run_block` is where the model comes here. What is swapped in is valid on a CPU, run eagerly, in float32, and
without gradients in bfloat16. Under autocast, while compiling, tracing or transforming (``torch.func``), and on any
other device the block runs as written.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, cast

from hiera_mm.models.mask_units import Region, int_shape

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.scale import LayerScale
from torch import Tensor
from torch.nn.modules import module as torch_module
from torch.overrides import TorchFunctionMode

FEWEST_ROWS = 512
"""Below this a convolution's preparation of the weights costs more than it gains."""

NUMBERS_IN_A_PIECE = 2**20
"""Numbers of a piece's input: 4 MiB in float32, and four times as much inside the MLP; chosen by measurement."""

PER_ROW: set[type[nn.Module]] = {nn.Linear, nn.LayerNorm, nn.GELU, nn.Identity, DropPath, LayerScale}
"""Modules that treat each row by itself, apart from stochastic depth; :func:`per_row` adds the model's own."""

GLOBAL_HOOKS = (
    '_global_forward_hooks',
    '_global_forward_pre_hooks',
    '_global_backward_hooks',
    '_global_backward_pre_hooks',
)
"""Of torch, for all modules."""

_switched_on = True


class BlockInTwoParts(Protocol):
    """What is needed of a transformer block: attention, which may look beyond a mask unit, and then the MLP."""

    training: bool
    attn: Any
    drop_path: Any

    def __call__(self, units: Tensor, regions: Sequence[Region]) -> Tensor: ...
    def add_attention(self, units: Tensor, regions: Sequence[Region]) -> Tensor: ...
    def add_mlp(self, units: Tensor) -> Tensor: ...
    def modules(self) -> Iterator[nn.Module]: ...


def run_block(block: nn.Module, units: Tensor, regions: Sequence[Region]) -> Tensor:
    """``block(units, regions)``, faster where that is valid.

    Rows of mask units ``(B, units, T, C)`` then pass a few at a time, so that what is computed in between stays in the
    processor's cache instead of filling fresh memory; only attention beyond a mask unit sees all at once.
    """
    if not _pays_for(units):
        return block(units, regions)
    parts = cast(BlockInTwoParts, block)
    with _FasterFunctions():
        if not _treats_rows_alone(parts):
            return block(units, regions)
        if parts.attn.window_side == 1:
            return _in_pieces(lambda piece: block(piece, regions), units)
        return _in_pieces(parts.add_mlp, parts.add_attention(units, regions))


@contextmanager
def plain() -> Iterator[None]:
    """Run the model as it is written, without anything of this module."""
    global _switched_on
    before, _switched_on = _switched_on, False
    try:
        yield
    finally:
        _switched_on = before


def per_row(module_class: type[nn.Module]) -> type[nn.Module]:
    """Class decorator: the module treats each row of mask units by itself, if its attention stays inside them."""
    PER_ROW.add(module_class)
    return module_class


class _FasterFunctions(TorchFunctionMode):
    """Linear layers and maxima by faster kernels; modules stay what they are, for tools that look for types."""

    def __torch_function__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        if not kwargs and func is _LINEAR and _convolution_pays(*args):
            return _Convolved.apply(*args) if torch.is_grad_enabled() else _convolved(*args)
        if func is _MAXIMUM and kwargs:
            # By position, as torch 2.11 takes nothing by name here.
            given = (*args, kwargs['dim'])
            return _Largest(_Maximum.apply(*given) if torch.is_grad_enabled() else torch.amax(*given))
        return func(*args, **(kwargs or {}))


# Counting tools patch these names, so they are kept here.
_LINEAR, _MAXIMUM = F.linear, torch.max


class _Largest(NamedTuple):
    values: Tensor


class _Convolved(torch.autograd.Function):
    """A linear layer as a 1 x 1 convolution, whose kernels (oneDNN's) are up to 1.15 times as fast as the BLAS behind
    torch's linear layers and add the bias on the way. The gradient of the input comes from the convolution, too; that
    of the weights is faster from the BLAS.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolved(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _convolved(gradient, weight.t(), None) if of_x else None,
            rows.t() @ x.reshape(-1, x.shape[-1]) if of_weight else None,
            rows.sum(0) if of_bias else None,
        )


class _Maximum(torch.autograd.Function):
    """``torch.max`` along an axis, of which it computes no indices: the gradient goes to the first of equals."""

    @staticmethod
    def forward(ctx, tokens: Tensor, dim: int) -> Tensor:
        largest = torch.amax(tokens, dim=dim)
        ctx.save_for_backward(tokens, largest)
        ctx.dim = dim
        return largest

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        tokens, largest = ctx.saved_tensors
        left = torch.ones_like(largest, dtype=torch.bool)
        hits = []
        for place in tokens.unbind(ctx.dim):
            hits.append((place == largest) & left)
            left &= ~hits[-1]
        if torch.is_grad_enabled():  # for gradients of gradients
            return torch.stack([gradient * hit for hit in hits], dim=ctx.dim), None
        given = torch.empty_like(tokens, memory_format=torch.contiguous_format)
        for hit, place in zip(hits, given.unbind(ctx.dim), strict=True):
            torch.mul(gradient, hit, out=place)
        return given, None


def _convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    rows = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
    mixed = F.conv2d(rows, weight[:, :, None, None], bias)
    return mixed.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def _convolution_pays(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    """Whether it is faster, and valid: plain float32 tensors, not such as hold quantised or sharded weights."""
    plain_types = type(x) is Tensor and type(weight) is nn.Parameter and type(bias) is nn.Parameter
    return plain_types and x.dtype == weight.dtype == torch.float32 and x.numel() >= FEWEST_ROWS * x.shape[-1]


def _pays_for(units: Tensor) -> bool:
    if not _switched_on or torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.is_autocast_enabled('cpu'):
        return False
    if units.device.type != 'cpu' or units.numel() < FEWEST_ROWS * units.shape[-1]:
        return False
    if units.dtype != torch.float32 and (units.dtype != torch.bfloat16 or torch.is_grad_enabled()):
        return False
    transformed = torch._C._functorch.peek_interpreter_stack() is not None
    forward_mode = torch.autograd.forward_ad._current_level >= 0
    return not transformed and not forward_mode and torch.backends.mkldnn.is_available()


def _treats_rows_alone(block: BlockInTwoParts) -> bool:
    """Whether nothing in the block needs all rows at once: no stranger's module, no hook, no stochastic depth, which is
    drawn for each image."""
    if block.training and block.drop_path.drop_prob:
        return False
    if any(getattr(torch_module, name) for name in GLOBAL_HOOKS):
        return False
    return all(
        type(module) in PER_ROW and 'forward' not in vars(module) and not _is_hooked(module)
        for module in block.modules()
    )


def _is_hooked(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks)


def _in_pieces(function: Callable[[Tensor], Tensor], units: Tensor) -> Tensor:
    batch, count, tokens, channels = int_shape(units)
    rows = max(1, NUMBERS_IN_A_PIECE // (tokens * channels))
    if batch * count <= rows:
        return function(units)
    pieces = units.reshape(1, batch * count, tokens, channels).split(rows, dim=1)
    done = torch.cat([function(piece) for piece in pieces], dim=1)
    return done.reshape(batch, count, *int_shape(done)[2:])
