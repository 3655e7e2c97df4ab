"""The token layout: feature map <-> rows of mask units, stored window by window.

A mask unit is a square of 8 x 8 patch tokens (32 x 32 pixels; Hiera paper, section 3.1). Its tokens
are one row: ``(B, units, tokens, C)`` with 64, 16, 4 and 1 tokens a row in the four stages. Inside the
row the four tokens that the *next* q-pooling joins differ only in the leading factor of 4, so pooling
is a maximum over that factor.

Windows of ``g x g`` units are kept together: the units of a window are consecutive rows. Where ``g`` does
not divide the grid, the windows that its right and bottom edges cut off are smaller; the grid then falls
into up to four regions, each with windows of one size, which lie one after the other. So no block ever
permutes tokens, and no token of padding is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_Q_POOLS = 3
"""Poolings a mask unit has room for: 8 x 8 tokens become 1 x 1 after three."""

UNIT_SIDE = 2**MAX_Q_POOLS
"""Side of a mask unit in patch tokens."""


@dataclass(frozen=True)
class Region:
    """A rectangle of the unit grid made of equal windows; all measures are in units."""

    top: int
    left: int
    rows: int
    columns: int
    window_rows: int
    window_columns: int

    @property
    def units(self) -> int:
        return self.rows * self.columns

    @property
    def windows(self) -> int:
        return self.units // (self.window_rows * self.window_columns)


def int_shape(tensor: Tensor) -> tuple[int, ...]:
    """The shape in plain ints, also while ``torch.jit.trace`` makes tensors of it, so that it can be computed with."""
    return tuple(map(int, tensor.shape)) if torch.jit.is_tracing() else tuple(tensor.shape)


def cut_into_windows(rows: int, columns: int, side: int) -> list[Region]:
    """The regions of a unit grid cut into windows of ``side x side`` units from its top left corner."""
    return [
        Region(top, left, height, width, min(side, height), min(side, width))
        for top, height in _whole_and_rest(rows, side)
        for left, width in _whole_and_rest(columns, side)
    ]


def pad_to_units(image: Tensor, multiple: int) -> Tensor:
    """Fill ``(B, C, H, W)`` with zeros at the bottom and right up to a multiple of ``multiple`` pixels."""
    height, width = int_shape(image)[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(image, (0, right, 0, bottom)) if bottom or right else image


def map_to_units(feature_map: Tensor, regions: Sequence[Region]) -> Tensor:
    """``(B, C, H, W)``, both sides multiples of 8, to rows ``(B, units, 64, C)``.

    Region by region, window by window, and inside a window in reading order. The token at ``(y, x)`` of its
    unit has index ``(q1 * 4 + q2) * 4 + q3`` with ``q1 = 2 * (y % 2) + x % 2``, ``q2`` the same of
    ``y // 2, x // 2``, ``q3`` of ``y // 4, x // 4``.
    """
    parts = [_rectangle_to_units(_rectangle(feature_map, region), region) for region in regions]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def units_to_map(units: Tensor, regions: Sequence[Region]) -> Tensor:
    """Rows ``(B, units, 4 ** k, C)`` to the map ``(B, C, rows * 2 ** k, columns * 2 ** k)`` of the unit grid.

    The inverse of :func:`map_to_units` for ``k = 3``; for a smaller ``k``, of what pooling left of it. The map lies
    in memory with its channels last, as the rows do.
    """
    parts = units.split([region.units for region in regions], dim=1)
    bands: dict[int, list[Tensor]] = {}
    for part, region in zip(parts, regions, strict=True):
        bands.setdefault(region.top, []).append(_units_to_rectangle(part, region))
    joined = [torch.cat(band, dim=-1) if len(band) > 1 else band[0] for band in bands.values()]
    return torch.cat(joined, dim=-2) if len(joined) > 1 else joined[0]


def pool_units(units: Tensor) -> Tensor:
    """Q-pooling: the maximum of each 2 x 2 tokens, ``(B, units, T, C)`` to ``(B, units, T / 4, C)``."""
    # The gradient goes to one of equals, as in max pooling; amax would share it.
    return torch.max(_pooled_apart(units), dim=2).values


def average_units(units: Tensor) -> Tensor:
    """The mean of each 2 x 2 tokens, ``(B, units, T, C)`` to ``(B, units, T / 4, C)``."""
    return torch.mean(_pooled_apart(units), dim=2)


def _pooled_apart(units: Tensor) -> Tensor:
    batch, count, tokens, channels = int_shape(units)
    return units.reshape(batch, count, 4, tokens // 4, channels)


def _whole_and_rest(length: int, side: int) -> list[tuple[int, int]]:
    """Start and length of the part that windows fill and of what is left, either absent if empty."""
    whole = length - length % side
    return [(start, part) for start, part in ((0, whole), (whole, length - whole)) if part]


def _rectangle(feature_map: Tensor, region: Region) -> Tensor:
    top, left, rows, columns = (UNIT_SIDE * x for x in (region.top, region.left, region.rows, region.columns))
    return feature_map[..., top : top + rows, left : left + columns]


def _rectangle_to_units(rectangle: Tensor, region: Region) -> Tensor:
    batch, channels = int_shape(rectangle)[:2]
    down, across, halves = region.window_rows, region.window_columns, (2,) * MAX_Q_POOLS
    # Axes: 0 batch, 1 channels, 2 window row, 3 unit row in it, 4..6 y bits coarse to fine, then the same of columns.
    split = rectangle.reshape(
        *(batch, channels, region.rows // down, down, *halves, region.columns // across, across, *halves)
    )
    ordered = split.permute(0, 2, 7, 3, 8, 6, 11, 5, 10, 4, 9, 1)
    return ordered.reshape(batch, region.units, UNIT_SIDE**2, channels)


def _units_to_rectangle(units: Tensor, region: Region) -> Tensor:
    batch, _, tokens, channels = int_shape(units)
    levels = (tokens.bit_length() - 1) // 2
    down, across = region.window_rows, region.window_columns
    split = units.reshape(
        *(batch, region.rows // down, region.columns // across, down, across, *(2,) * (2 * levels), channels)
    )
    # Axes: 1, 2 window row and column, 3, 4 unit row and column, then (y, x) bit pairs fine to coarse, last channels.
    y_bits = [5 + 2 * level for level in reversed(range(levels))]
    x_bits = [6 + 2 * level for level in reversed(range(levels))]
    ordered = split.permute(0, 1, 3, *y_bits, 2, 4, *x_bits, 5 + 2 * levels)
    rectangle = ordered.reshape(batch, region.rows * 2**levels, region.columns * 2**levels, channels)
    return rectangle.permute(0, 3, 1, 2)
