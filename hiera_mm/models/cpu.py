"""Everything that makes the model faster on a CPU, in one place; the model is correct without it.

The model calls :func:`run_block`. The faster code is used on a CPU, in eager mode, in float32, and in bfloat16 without
gradients. Under autocast, while compiling, tracing or transforming (``torch.func``), and on any other device the block
runs as written.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

from hiera_mm.models.mask_units import Region, int_shape

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn.bricks.scale import LayerScale
from torch import Tensor
from torch.nn.modules import module as torch_module
from torch.overrides import TorchFunctionMode

MIN_ROWS = 512
"""With fewer rows, preparing the weights for a convolution costs more than the convolution saves."""

CHUNK_SIZE = 2**20
"""Input values per chunk: 4 MiB in float32, and four times as much inside the MLP; chosen by measurement."""

PER_ROW_MODULES: set[type[nn.Module]] = {nn.Linear, nn.LayerNorm, nn.GELU, nn.Identity, LayerScale}
"""Modules that process each row on its own; :func:`per_row` adds the model's own."""

GLOBAL_HOOKS = (
    '_global_forward_hooks',
    '_global_forward_pre_hooks',
    '_global_backward_hooks',
    '_global_backward_pre_hooks',
)
"""torch's hooks that apply to all modules."""

_switched_on = True


class SplitBlock(Protocol):
    """A transformer block that can run its attention, which may look beyond a mask unit, and its MLP separately."""

    attn: Any

    def __call__(self, units: Tensor, regions: Sequence[Region]) -> Tensor: ...
    def add_attention(self, units: Tensor, regions: Sequence[Region]) -> Tensor: ...
    def add_mlp(self, units: Tensor) -> Tensor: ...
    def modules(self) -> Iterator[nn.Module]: ...


def run_block(block: nn.Module, units: Tensor, regions: Sequence[Region], paths: Tensor | None = None) -> Tensor:
    """``block(units, regions, paths)``, but faster where possible.

    Rows of mask units ``(B, units, T, C)`` are then processed in chunks, so that intermediate results stay in the CPU's
    cache; only attention beyond a mask unit sees all rows at once.
    """
    if not _can_speed_up(units):
        return block(units, regions, paths)
    parts = cast(SplitBlock, block)
    with _FasterKernels():
        if paths is not None or not is_as_written(parts.modules()):
            return block(units, regions, paths)
        if parts.attn.window_side == 1:
            return _in_chunks(lambda chunk: block(chunk, regions), units)
        return _in_chunks(parts.add_mlp, parts.add_attention(units, regions))


@contextmanager
def plain() -> Iterator[None]:
    """Run the model as it is written, without the faster code of this module and of :mod:`hiera_mm.models.gpu`."""
    global _switched_on
    before, _switched_on = _switched_on, False
    try:
        yield
    finally:
        _switched_on = before


def is_transforming() -> bool:
    """Whether a transformation of ``torch.func`` runs, such as vmap."""
    return torch._C._functorch.peek_interpreter_stack() is not None


def is_replaceable() -> bool:
    """Whether faster code may stand in for the model's: in eager mode, and not within :func:`plain`."""
    if not _switched_on or torch.compiler.is_compiling() or torch.jit.is_tracing():
        return False
    forward_mode = torch.autograd.forward_ad._current_level >= 0
    return not is_transforming() and not forward_mode


def is_as_written(modules: Iterable[nn.Module]) -> bool:
    """Whether these are the model's own kinds of modules, which process rows on their own, and without hooks."""
    if any(getattr(torch_module, name) for name in GLOBAL_HOOKS):
        return False
    return all(
        type(module) in PER_ROW_MODULES and 'forward' not in vars(module) and not _is_hooked(module)
        for module in modules
    )


def per_row(module_class: type[nn.Module]) -> type[nn.Module]:
    """Class decorator: the module processes each row of mask units on its own, if its attention stays inside units."""
    PER_ROW_MODULES.add(module_class)
    return module_class


class _FasterKernels(TorchFunctionMode):
    """Runs linear layers and maxima with faster kernels; the modules keep their types, which other tools check."""

    def __torch_function__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        if not kwargs and func is _LINEAR and _convolution_is_faster(*args):
            return _LinearAsConvolution.apply(*args) if torch.is_grad_enabled() else _linear_as_convolution(*args)
        if func is _MAXIMUM and kwargs:
            # torch 2.11 takes positional arguments only here.
            given = (*args, kwargs['dim'])
            return _MaxResult(_MaxWithoutIndices.apply(*given) if torch.is_grad_enabled() else torch.amax(*given))
        return func(*args, **(kwargs or {}))


# Tools that count operations patch these functions, so the originals are kept here.
_LINEAR, _MAXIMUM = F.linear, torch.max


class _MaxResult(NamedTuple):
    values: Tensor


class _LinearAsConvolution(torch.autograd.Function):
    """A linear layer as a 1 x 1 convolution: oneDNN's kernels also add the bias and are up to 1.15 times as fast as the
    BLAS behind torch's linear layers on AMD's processors. The input's gradient is computed by convolution as well, the
    weights' gradient by the BLAS, which is faster there.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _linear_as_convolution(x, weight, bias)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        rows = gradient.reshape(-1, gradient.shape[-1])
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        return (
            _linear_as_convolution(gradient, weight.t(), None) if needs_x else None,
            rows.t() @ x.reshape(-1, x.shape[-1]) if needs_weight else None,
            rows.sum(0) if needs_bias else None,
        )


class _MaxWithoutIndices(torch.autograd.Function):
    """``torch.max`` along an axis without computing indices; of equal values the first gets the gradient."""

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


def _linear_as_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    rows = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
    mixed = F.conv2d(rows, weight[:, :, None, None], bias)
    return mixed.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def _convolution_is_faster(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    """Whether a convolution is faster and valid: for plain float32 tensors, not for quantised or sharded weights."""
    plain_types = type(x) is Tensor and type(weight) is nn.Parameter and type(bias) is nn.Parameter
    fits = plain_types and x.dtype == weight.dtype == torch.float32 and x.numel() >= MIN_ROWS * x.shape[-1]
    return fits and _convolutions_pay()


def _convolutions_pay() -> bool:
    """Whether convolutions are faster here: not than MKL on a processor of Intel's, where training takes 1.1 times as
    long with them, and not on one thread, for which torch does not give 1 x 1 convolutions to oneDNN.
    """
    return torch.get_num_threads() > 1 and not (torch.backends.mkl.is_available() and _is_intel())


@functools.cache
def _is_intel() -> bool:
    # Only Linux says so; elsewhere the convolutions are kept.
    information = Path('/proc/cpuinfo')
    return information.is_file() and 'GenuineIntel' in information.read_text()


def _can_speed_up(units: Tensor) -> bool:
    if not is_replaceable() or torch.is_autocast_enabled('cpu'):
        return False
    if units.device.type != 'cpu' or units.numel() < MIN_ROWS * units.shape[-1]:
        return False
    if units.dtype != torch.float32 and (units.dtype != torch.bfloat16 or torch.is_grad_enabled()):
        return False
    return torch.backends.mkldnn.is_available()


def _is_hooked(module: nn.Module) -> bool:
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return any(hooks)


def _in_chunks(function: Callable[[Tensor], Tensor], units: Tensor) -> Tensor:
    batch, count, tokens, channels = int_shape(units)
    rows = max(1, CHUNK_SIZE // (tokens * channels))
    if batch * count <= rows:
        return function(units)
    chunks = units.reshape(1, batch * count, tokens, channels).split(rows, dim=1)
    done = torch.cat([function(chunk) for chunk in chunks], dim=1)
    return done.reshape(batch, count, *int_shape(done)[2:])
