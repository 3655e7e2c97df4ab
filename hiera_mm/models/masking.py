"""Random choice of the mask units that a backbone sees (Hiera, section 3.1)."""

from collections.abc import Sequence

from hiera_mm.models.hiera import FRAME_STRIDE, UNIT_PIXELS

import torch
from torch import Tensor


def random_keep(
    count: int,
    units: int,
    kept: int,
    device: torch.device | str = 'cpu',
    generator: torch.Generator | None = None,
) -> Tensor:
    """Random masks ``(count, units)``, True where a unit is kept; every mask keeps ``kept``."""
    order = torch.rand(count, units, device=device, generator=generator).argsort(dim=1)
    return order.argsort(dim=1) < kept


def kept_indices(keep: Tensor, kept: int) -> Tensor:
    """Indices of the units that masks ``(B, units)`` keep, in reading order, ``(B, kept)``."""
    return keep.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :kept]


def zeroed(pixels: Tensor, keep: Tensor, grid: Sequence[int]) -> Tensor:
    """Set the masked units' pixels to 0, since the patch embedding of a neighbour would see some of them.

    Args:
        pixels: Images or clips.
        keep: Masks ``(B, units)``.
        grid: Mask units along each axis, ``(rows, columns)`` or ``(times, rows, columns)``.
    """
    seen = keep.reshape(len(keep), 1, *grid).to(pixels.dtype)
    if pixels.ndim == 5:
        seen = seen.repeat_interleave(FRAME_STRIDE, dim=2)
    return pixels * seen.repeat_interleave(UNIT_PIXELS, dim=-2).repeat_interleave(UNIT_PIXELS, dim=-1)
