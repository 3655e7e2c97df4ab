"""Operators of our own in exported graphs."""

import torch
from torch import Tensor
from torchvision.ops import batched_nms


@torch.library.custom_op('hiera_mm::kept_by_nms', mutates_args=())
def kept_by_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Which boxes non-maximum suppression keeps, of each picture and each group by itself.

    Args:
        boxes: ``(B, N, 4)``, x1, y1, x2, y2.
        scores: ``(B, N)``; a box whose score isn't over 0 is none.
        groups: ``(B, N)`` whole numbers.
        iou: Overlap from which the weaker of two boxes goes.

    Returns:
        ``(B, N)``, of bool.
    """
    kept = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    for picture in range(len(boxes)):
        (real,) = torch.nonzero(scores[picture] > 0, as_tuple=True)
        chosen = batched_nms(boxes[picture, real], scores[picture, real], groups[picture, real], iou)
        kept[picture, real[chosen]] = True
    return kept


@kept_by_nms.register_fake
def _(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)
