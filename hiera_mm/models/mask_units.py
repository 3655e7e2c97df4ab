"""The token layout: feature maps of images or clips <-> rows of mask units, stored window by window.

A mask unit is a square of 8 x 8 patch tokens (32 x 32 pixels; Hiera paper, section 3.1). Its tokens
are one row: ``(B, units, tokens, C)`` with 64, 16, 4 and 1 tokens a row in the four stages. Inside the
row the four tokens that the *next* q-pooling joins differ only in the leading factor of 4, so pooling
is a maximum over that factor.

Windows of ``g x g`` units are kept together: the units of a window are consecutive rows. Where ``g`` does
not divide the grid, the windows that its right and bottom edges cut off are smaller; the grid then falls
into up to four regions, each with windows of one size, which lie one after the other. In a clip a unit is one token
deep in time, windows also span some times, and there are up to eight regions. So no block ever permutes tokens, and no
token of padding is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_Q_POOLS = 3
"""Most q-poolings of a mask unit: after three, 8 x 8 tokens have become one."""

UNIT_SIDE = 2**MAX_Q_POOLS
"""Side of a mask unit in patch tokens."""


@dataclass(frozen=True)
class Region:
    """A rectangle of the unit grid (for clips a box) made of equal windows, measured in units.

    Attributes:
        top, left, rows, columns: The rectangle.
        window_rows, window_columns: Size of each window.
        first, times: The first time of the box and how many it spans; None for images.
        window_times: Times that each window spans.
    """

    top: int
    left: int
    rows: int
    columns: int
    window_rows: int
    window_columns: int
    first: int = 0
    times: int | None = None
    window_times: int = 1

    @property
    def units(self) -> int:
        return self.rows * self.columns * (self.times or 1)

    @property
    def windows(self) -> int:
        return self.units // (self.window_rows * self.window_columns * self.window_times)


def int_shape(tensor: Tensor) -> tuple[int, ...]:
    """The shape as plain ints, also under ``torch.jit.trace``, which would give tensors."""
    return tuple(map(int, tensor.shape)) if torch.jit.is_tracing() else tuple(tensor.shape)


def cut_into_windows(grid: Sequence[int], side: int | None = None, window_times: int | None = None) -> list[Region]:
    """The regions of a unit grid cut into windows from its first corner.

    Args:
        grid: ``(rows, columns)`` for images, ``(times, rows, columns)`` for clips.
        side: Rows and columns of a window; None for one window over all.
        window_times: Times of a clip's window; None for all.
    """
    *depth, rows, columns = grid
    planes = [
        (top, left, height, width, min(side or height, height), min(side or width, width))
        for top, height in _whole_and_rest(rows, side or rows)
        for left, width in _whole_and_rest(columns, side or columns)
    ]
    if not depth:
        return [Region(*plane) for plane in planes]
    parts = _whole_and_rest(depth[0], window_times or depth[0])
    return [
        Region(*plane, first, times, min(window_times or times, times))
        for (first, times), plane in product(parts, planes)
    ]


def pad_to_units(image: Tensor, multiple: int) -> Tensor:
    """Fill ``(B, C, H, W)`` with zeros at the bottom and right up to a multiple of ``multiple`` pixels."""
    height, width = int_shape(image)[-2:]
    bottom, right = -height % multiple, -width % multiple
    return F.pad(image, (0, right, 0, bottom)) if bottom or right else image


def map_to_units(feature_map: Tensor, regions: Sequence[Region]) -> Tensor:
    """``(B, C, H, W)`` or ``(B, C, T, H, W)``, ``H`` and ``W`` multiples of 8, to rows ``(B, units, 64, C)``.

    Region by region, window by window, and inside a window in reading order, time by time. The token at ``(y, x)`` of
    its unit has index ``(q1 * 4 + q2) * 4 + q3`` with ``q1 = 2 * (y % 2) + x % 2``, ``q2`` the same of
    ``y // 2, x // 2``, ``q3`` of ``y // 4, x // 4``.
    """
    batch, channels = int_shape(feature_map)[:2]
    parts = [
        in_unit_order(feature_map, region).reshape(batch, region.units, UNIT_SIDE**2, channels) for region in regions
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def in_unit_order(feature_map: Tensor, region: Region) -> Tensor:
    """A region of a map with an axis for each level of the order of :func:`map_to_units`, without copying."""
    box = _box(feature_map, region)
    batch, channels = int_shape(box)[:2]
    down, across, halves = region.window_rows, region.window_columns, (2,) * MAX_Q_POOLS
    depth = [] if region.times is None else [region.times // region.window_times, region.window_times]
    # Axes: 0 batch, 1 channels, for clips the window's time and the time inside it; at y the window row, the unit row
    # inside it and three y bits from coarse to fine; at x the same for columns.
    split = box.reshape(
        *(batch, channels, *depth, region.rows // down, down, *halves, region.columns // across, across, *halves)
    )
    y, x = 2 + len(depth), 7 + len(depth)
    windows, inside = ([2], [3]) if depth else ([], [])
    return split.permute(0, *windows, y, x, *inside, y + 1, x + 1, y + 4, x + 4, y + 3, x + 3, y + 2, x + 2, 1)


def units_to_map(units: Tensor, regions: Sequence[Region]) -> Tensor:
    """Rows ``(B, units, 4 ** k, C)`` to the map ``(B, C, rows * 2 ** k, columns * 2 ** k)`` of the unit grid, for
    clips ``(B, C, times, rows * 2 ** k, columns * 2 ** k)``.

    The inverse of :func:`map_to_units` for ``k = 3``; smaller ``k`` are for pooled rows. The map is in channels-last
    memory format, as the rows are.
    """
    parts = units.split([region.units for region in regions], dim=1)
    boxes: dict[tuple[int, ...], Tensor] = {
        (region.first, region.top, region.left): _units_to_box(part, region)
        for part, region in zip(parts, regions, strict=True)
    }
    for axis in (-1, -2, -3):
        neighbours: dict[tuple[int, ...], list[Tensor]] = {}
        for place, box in boxes.items():
            neighbours.setdefault(place[:-1], []).append(box)
        boxes = {place: torch.cat(row, dim=axis) if len(row) > 1 else row[0] for place, row in neighbours.items()}
    return boxes[()]


def pool_units(units: Tensor) -> Tensor:
    """Q-pooling: the maximum of each 2 x 2 tokens, ``(B, units, T, C)`` to ``(B, units, T / 4, C)``."""
    # As in max pooling, one of equal values gets the gradient; amax would share it among them.
    return torch.max(pooled_apart(units), dim=2).values


def average_units(units: Tensor) -> Tensor:
    """The mean of each 2 x 2 tokens, ``(B, units, T, C)`` to ``(B, units, T / 4, C)``."""
    return torch.mean(pooled_apart(units), dim=2)


def pooled_apart(units: Tensor) -> Tensor:
    """The four tokens that a q-pooling joins along an axis of their own, ``(B, units, 4, T / 4, C)``."""
    batch, count, tokens, channels = int_shape(units)
    return units.reshape(batch, count, 4, tokens // 4, channels)


def _whole_and_rest(length: int, side: int) -> list[tuple[int, int]]:
    """Start and length of the part that whole windows fill and of the rest, leaving out empty ones."""
    whole = length - length % side
    return [(start, part) for start, part in ((0, whole), (whole, length - whole)) if part]


def _box(feature_map: Tensor, region: Region) -> Tensor:
    top, left, rows, columns = (UNIT_SIDE * x for x in (region.top, region.left, region.rows, region.columns))
    plane = feature_map[..., top : top + rows, left : left + columns]
    return plane if region.times is None else plane[:, :, region.first : region.first + region.times]


def _units_to_box(units: Tensor, region: Region) -> Tensor:
    batch, _, tokens, channels = int_shape(units)
    levels = (tokens.bit_length() - 1) // 2
    down, across = region.window_rows, region.window_columns
    outer, inner = ([], []) if region.times is None else ([region.times // region.window_times], [region.window_times])
    split = units.reshape(
        *(batch, *outer, region.rows // down, region.columns // across, *inner, down, across),
        *(*(2,) * (2 * levels), channels),
    )
    # Axes: for clips the window's time; window row and column; for clips the time inside it; unit row and column; (y,
    # x) bit pairs from fine to coarse; channels.
    row = 1 + len(outer)
    unit = row + 2 + len(inner)
    bits = unit + 2
    y_bits = [bits + 2 * level for level in reversed(range(levels))]
    x_bits = [bits + 1 + 2 * level for level in reversed(range(levels))]
    times = [1, unit - 1] if outer else []
    ordered = split.permute(0, *times, row, unit, *y_bits, row + 1, unit + 1, *x_bits, bits + 2 * levels)
    depth = [] if region.times is None else [region.times]
    box = ordered.reshape(batch, *depth, region.rows * 2**levels, region.columns * 2**levels, channels)
    return box.movedim(-1, 1)
