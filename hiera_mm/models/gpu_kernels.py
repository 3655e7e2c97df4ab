"""Kernels in Triton for the narrow stages of Hiera, whose time on a GPU is that of memory.

In stages 1 and 2 an MLP writes and reads rows four times as wide as its input, and each norm a copy of it. Here both
stay on the chip: a block's second half reads its rows once and writes them once (for 64 images of 224 pixels in Hiera-B
2.1 GB less). The model is correct without them, and they are not used until a GPU has shown them right and faster:
:func:`hiera_mm.models.gpu.own_kernels`. ``TRITON_INTERPRET=1`` runs them on a CPU.
"""

from typing import Any, NamedTuple

import torch
import torch.nn as nn
import triton
import triton.language as tl
from torch import Tensor

WIDEST = 256
"""Most channels of a row that stays on the chip."""


class Tile(NamedTuple):
    """Rows of a program, outputs that it computes at a time, and its warps of 32 threads."""

    rows: int
    chunk: int
    warps: int


def tile(kernel: Any, channels: int) -> Tile:
    """The largest of those tried that spills no registers on an H200."""
    if kernel is norm_mlp_kernel and channels > 128:
        return Tile(32, 32, 4)
    return Tile(64, 64, 8)


def takes(norm: nn.LayerNorm) -> bool:
    """Whether rows are as narrow as the kernels need."""
    return norm.normalized_shape[-1] <= WIDEST


def norm_mlp(x: Tensor, norm: nn.LayerNorm, mlp: Any) -> Tensor:
    """``x + mlp(norm(x))`` with exact GELU.

    Args:
        x: Rows ``(..., C)``, contiguous.
        norm: A norm of C channels.
        mlp: A :class:`hiera_mm.models.hiera.MLP`.
    """
    out = torch.empty_like(x)
    layers = norm.weight, norm.bias, mlp.fc1.weight, mlp.fc1.bias, mlp.fc2.weight, mlp.fc2.bias
    _launch(norm_mlp_kernel, x, out, layers, norm.eps, mlp.fc1.out_features)
    return out


def norm_linear(x: Tensor, norm: nn.LayerNorm, weight: Tensor, bias: Tensor) -> Tensor:
    """``linear(norm(x))``.

    Args:
        x: Rows ``(..., C)``, contiguous.
        norm: A norm of C channels.
        weight: ``(outputs, C)``.
        bias: ``(outputs,)``.
    """
    out = x.new_empty(*x.shape[:-1], len(weight))
    _launch(norm_linear_kernel, x, out, (norm.weight, norm.bias, weight, bias), norm.eps, len(weight))
    return out


def _launch(kernel: Any, x: Tensor, out: Tensor, layers: tuple[Tensor, ...], eps: float, wide: int) -> None:
    channels = x.shape[-1]
    rows, sizes = x.numel() // channels, tile(kernel, channels)
    grid = (triton.cdiv(rows, sizes.rows),)
    kernel[grid](x, *layers, out, rows, eps, **constants(kernel, channels, wide), num_warps=sizes.warps)


def constants(kernel: Any, channels: int, wide: int) -> dict[str, int]:
    """What a kernel is compiled for: matrix products have sides of powers of two, from 16 on."""
    padded = max(16, triton.next_power_of_2(channels))
    sizes = tile(kernel, channels)
    return dict(CHANNELS=channels, PADDED=padded, WIDE=wide, ROWS=sizes.rows, CHUNK=sizes.chunk)


@triton.jit
def normalised(given, gamma, beta, columns, eps, CHANNELS: tl.constexpr):
    """Rows ``(ROWS, PADDED)``, zero behind the channels, after a layer norm."""
    real = columns < CHANNELS
    mean = tl.sum(given, 1) / CHANNELS
    centred = tl.where(real[None, :], given - mean[:, None], 0.0)
    deviation = tl.sqrt(tl.sum(centred * centred, 1) / CHANNELS + eps)
    scale = tl.load(gamma + columns, mask=real, other=0.0).to(tl.float32)
    shift = tl.load(beta + columns, mask=real, other=0.0).to(tl.float32)
    return centred / deviation[:, None] * scale[None, :] + shift[None, :]


@triton.jit
def norm_mlp_kernel(
    x,
    gamma,
    beta,
    first_weight,
    first_bias,
    second_weight,
    second_bias,
    out,
    rows,
    eps,
    CHANNELS: tl.constexpr,
    PADDED: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    CHUNK: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, PADDED)
    real = columns < CHANNELS
    places = row[:, None].to(tl.int64) * CHANNELS + columns[None, :]
    inside = (row[:, None] < rows) & real[None, :]
    given = tl.load(x + places, mask=inside, other=0.0)
    normed = normalised(given.to(tl.float32), gamma, beta, columns, eps, CHANNELS).to(given.dtype)
    sums = tl.zeros((ROWS, PADDED), tl.float32)
    for start in range(0, WIDE, CHUNK):
        unit = start + tl.arange(0, CHUNK)
        there = unit < WIDE
        both = real[:, None] & there[None, :]
        first = tl.load(first_weight + unit[None, :] * CHANNELS + columns[:, None], mask=both, other=0.0)
        bias = tl.load(first_bias + unit, mask=there, other=0.0).to(tl.float32)
        hidden = tl.dot(normed, first) + bias[None, :]
        hidden = 0.5 * hidden * (1.0 + tl.erf(hidden * 0.7071067811865476))
        both = there[:, None] & real[None, :]
        second = tl.load(second_weight + columns[None, :] * WIDE + unit[:, None], mask=both, other=0.0)
        sums += tl.dot(hidden.to(given.dtype), second)
    bias = tl.load(second_bias + columns, mask=real, other=0.0).to(tl.float32)
    # Read again, from the cache, rather than kept in registers.
    shortcut = tl.load(x + places, mask=inside, other=0.0)
    result = shortcut.to(tl.float32) + (sums + bias[None, :])
    tl.store(out + places, result.to(shortcut.dtype), mask=inside)


@triton.jit
def norm_linear_kernel(
    x,
    gamma,
    beta,
    weight,
    bias,
    out,
    rows,
    eps,
    CHANNELS: tl.constexpr,
    PADDED: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
    CHUNK: tl.constexpr,
):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, PADDED)
    real = columns < CHANNELS
    places = row[:, None].to(tl.int64) * CHANNELS + columns[None, :]
    given = tl.load(x + places, mask=(row[:, None] < rows) & real[None, :], other=0.0)
    normed = normalised(given.to(tl.float32), gamma, beta, columns, eps, CHANNELS).to(given.dtype)
    for start in range(0, WIDE, CHUNK):
        unit = start + tl.arange(0, CHUNK)
        there = unit < WIDE
        layer = tl.load(
            weight + unit[None, :] * CHANNELS + columns[:, None], mask=real[:, None] & there[None, :], other=0.0
        )
        shift = tl.load(bias + unit, mask=there, other=0.0).to(tl.float32)
        result = tl.dot(normed, layer) + shift[None, :]
        target = out + row[:, None].to(tl.int64) * WIDE + unit[None, :]
        tl.store(target, result.to(given.dtype), mask=(row[:, None] < rows) & there[None, :])
