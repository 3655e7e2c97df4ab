"""Custom operators in exported graphs."""

import torch
from torch import Tensor
from torchvision.ops import batched_nms


@torch.library.custom_op('hiera_mm::kept_by_nms', mutates_args=())
def kept_by_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """The boxes that non-maximum suppression keeps, separately for each image and group.

    Args:
        boxes: ``(B, N, 4)``, x1, y1, x2, y2.
        scores: ``(B, N)``; boxes with a score of 0 or less are ignored.
        groups: ``(B, N)``, integers.
        iou: Overlap above which the box with the lower score is removed.

    Returns:
        ``(B, N)``, boolean.
    """
    kept = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    for image in range(len(boxes)):
        (real,) = torch.nonzero(scores[image] > 0, as_tuple=True)
        chosen = batched_nms(boxes[image, real], scores[image, real], groups[image, real], iou)
        kept[image, real[chosen]] = True
    return kept


@kept_by_nms.register_fake
def _(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)
