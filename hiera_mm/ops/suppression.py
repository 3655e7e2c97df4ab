"""Non-maximum suppression: mmcv's operators on boxes with scores."""

from hiera_mm.ops.precision import kernel_dtype

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes that non-maximum suppression keeps, best first.

    Args:
        boxes: ``(N, 4)`` as x1, y1, x2, y2 in pixels.
        scores: ``(N,)``.
        iou_threshold: A box with a higher IoU with a better box is dropped.
        offset: 1 where a box from 0 to 9 is 10 pixels wide, 0 where it is 9.
    """
    boxes = boxes.to(kernel_dtype(boxes))
    # torchvision measures x2 - x1: adding the offset to the far corner gives the width mmcv uses.
    boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    # For equal scores mmcv uses the order of torch's default sort, torchvision that of a stable sort.
    order = scores.sort(0, descending=True).indices
    ranks = torch.arange(len(order), 0, -1, device=boxes.device, dtype=boxes.dtype)
    return order[torch.ops.torchvision.nms(boxes[order], ranks, iou_threshold)]


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al., ICCV 2017, arXiv 1704.04503): lowers scores of overlapping boxes.

    Args:
        boxes, scores: As for :func:`nms`.
        dets: ``(N, 5)``; its first rows are filled with the kept boxes and their lowered scores.
        iou_threshold: Least IoU at which methods 0 and 1 act.
        sigma: Width of the Gaussian in method 2.
        min_score: Boxes whose score falls below this are dropped.
        method: 0 drops (``'naive'``), 1 weights by ``1 - IoU`` (``'linear'``), 2 by ``exp(-IoU^2 / sigma)``.
        offset: As for :func:`nms`.

    Returns:
        Indices of the kept boxes in the order of ``dets``.
    """
    remaining = torch.cat([boxes, scores[:, None]], dim=1).to(kernel_dtype(boxes))
    indices = torch.arange(len(boxes), device=boxes.device)
    kept = 0
    while kept < len(remaining):
        best = kept + int(remaining[kept:, 4].argmax())
        there, here = [best, kept], [kept, best]
        remaining[here], indices[here] = remaining[there], indices[there]
        dets[kept] = remaining[kept].to(dets.dtype)

        overlap = _overlap(remaining[kept], remaining[kept + 1 :], offset)
        if method == 2:
            weight = torch.exp(-(overlap**2) / sigma)
        else:
            lowered = 1 - overlap if method == 1 else torch.zeros_like(overlap)
            weight = torch.where(overlap >= iou_threshold, lowered, torch.ones_like(overlap))
        remaining[kept + 1 :, 4] *= weight
        kept += 1
        order = _drop_by_swapping(remaining[kept:, 4] >= min_score)
        remaining = torch.cat([remaining[:kept], remaining[kept:][order]])
        indices = torch.cat([indices[:kept], indices[kept:][order]])
    return indices


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Groups of boxes: each box that non-maximum suppression keeps, best first, with the boxes that it suppresses.

    Args:
        dets: ``(N, 5)`` as x1, y1, x2, y2 in pixels and score.
        iou_threshold: A box with at least this IoU with a better box belongs to its group.
    """
    left = dets[:, 4].sort(0, descending=True).indices
    groups = []
    while len(left):
        overlap = _overlap(dets[left[0]], dets[left], offset=0)
        joined = overlap >= iou_threshold
        joined[0] = True
        groups.append(left[joined].tolist())
        left = left[~joined]
    return groups


def _overlap(box: Tensor, others: Tensor, offset: int) -> Tensor:
    """IoU of one box ``(5,)`` with others ``(N, 5)``."""
    corner_low = torch.maximum(box[:2], others[:, :2])
    corner_high = torch.minimum(box[2:4], others[:, 2:4])
    common = (corner_high - corner_low + offset).clamp(min=0).prod(dim=1)
    area = (box[2:4] - box[:2] + offset).prod()
    areas = (others[:, 2:4] - others[:, :2] + offset).prod(dim=1)
    return common / (area + areas - common)


def _drop_by_swapping(alive: Tensor) -> Tensor:
    """The order after each dropped entry, from the front on, is replaced by the last surviving one.

    mmcv compacts its list in this way, and the resulting order breaks ties between scores.
    """
    survivors = int(alive.sum())
    order = torch.arange(survivors, device=alive.device)
    holes = (~alive[:survivors]).nonzero()[:, 0]
    order[holes] = survivors + alive[survivors:].nonzero()[:, 0].flip(0)
    return order
