"""The token layout: feature map <-> rows of mask units.

A mask unit is a square of 8 x 8 patch tokens (32 x 32 pixels; Hiera paper, section 3.1). Its tokens
are one row: ``(B, units, tokens, C)`` with 64, 16, 4 and 1 tokens a row in the four stages. Inside the
row the four tokens that the *next* q-pooling joins differ only in the leading factor of 4, so pooling
is a maximum over that factor and no block ever permutes tokens.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

Q_POOLS = 3
"""Poolings a mask unit has room for: 8 x 8 tokens become 1 x 1 after three."""

UNIT_SIDE = 2**Q_POOLS
"""Side of a mask unit in patch tokens."""


def pad_to_units(image: Tensor, multiple: int) -> Tensor:
    """Fill ``(B, C, H, W)`` with zeros at the bottom and right up to a multiple of ``multiple`` pixels."""
    height, width = image.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(image, (0, right, 0, bottom)) if bottom or right else image


def map_to_units(feature_map: Tensor) -> Tensor:
    """``(B, C, H, W)``, both sides multiples of 8, to rows ``(B, units, 64, C)``.

    Units are in reading order. The token at ``(y, x)`` of its unit has index ``(q1 * 4 + q2) * 4 + q3``
    with ``q1 = 2 * (y % 2) + x % 2``, ``q2`` the same of ``y // 2, x // 2``, ``q3`` of ``y // 4, x // 4``.
    """
    batch, channels, height, width = feature_map.shape
    rows, columns = height // UNIT_SIDE, width // UNIT_SIDE
    halves = (2,) * Q_POOLS
    # Axes: 0 batch, 1 channels, 2 unit row, 3..5 y bits coarse to fine, 6 unit column, 7..9 x bits.
    split = feature_map.reshape(batch, channels, rows, *halves, columns, *halves)
    ordered = split.permute(0, 2, 6, 5, 9, 4, 8, 3, 7, 1)
    return ordered.reshape(batch, rows * columns, UNIT_SIDE**2, channels)


def units_to_map(units: Tensor, rows: int, columns: int) -> Tensor:
    """Rows ``(B, rows * columns, 4 ** k, C)`` to the map ``(B, C, rows * 2 ** k, columns * 2 ** k)``.

    The inverse of :func:`map_to_units` for ``k = 3``; for a smaller ``k``, of what pooling left of it.
    """
    batch, _, tokens, channels = units.shape
    levels = (tokens.bit_length() - 1) // 2
    split = units.reshape(batch, rows, columns, *(2,) * (2 * levels), channels)
    # Axes: 1 unit row, 2 unit column, then (y, x) bit pairs fine to coarse, last channels.
    y_bits = [3 + 2 * level for level in reversed(range(levels))]
    x_bits = [4 + 2 * level for level in reversed(range(levels))]
    ordered = split.permute(0, 3 + 2 * levels, 1, *y_bits, 2, *x_bits)
    return ordered.reshape(batch, channels, rows * 2**levels, columns * 2**levels)


def pool_units(units: Tensor) -> Tensor:
    """Q-pooling: the maximum of each 2 x 2 tokens, ``(B, units, T, C)`` to ``(B, units, T / 4, C)``."""
    batch, count, tokens, channels = units.shape
    return torch.amax(units.reshape(batch, count, 4, tokens // 4, channels), dim=2)
