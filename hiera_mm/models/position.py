"""Position embeddings, and how they follow the input's size."""

import math

import torch.nn.functional as F
from torch import Tensor


def resize_position_table(table: Tensor, height: int, width: int) -> Tensor:
    """Fit a square learned table ``(1, N, C)`` to a token grid, as ``(1, C, height, width)``.

    A grid of the table's own size gets the table unchanged; any other gets it resized bicubically over
    its whole extent, as ViTDet (arXiv 2203.16527) does with the tables of plain transformers.
    """
    side = math.isqrt(table.shape[1])
    grid = table.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    if (height, width) == (side, side):
        return grid
    resized = F.interpolate(grid.float(), size=(height, width), mode='bicubic', align_corners=False)
    return resized.to(table.dtype)
