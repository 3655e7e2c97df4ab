"""Assignment of boxes to objects by overlap, for all images of a batch at once."""

from hiera_mm.models.batched.objects import Objects

import torch
from mmdet.models.task_modules.assigners import MaxIoUAssigner
from torch import Tensor

MAX_PAIRS = 2**24
"""Pairs of an object and a box that are compared at once; mmdet's overlaps need about 50 bytes for each."""


def assign(assigner: MaxIoUAssigner, boxes: Tensor, objects: Objects, known: Tensor | None = None) -> Tensor:
    """What mmdet's ``MaxIoUAssigner`` assigns, for all images at once.

    Args:
        assigner: mmdet's, whose settings count.
        boxes: ``(B, N, 4)``.
        objects: Those of the ``B`` images.
        known: ``(B, N)``, which boxes take part; all if not given.

    Returns:
        ``(B, N)``: a box's object, numbered from 1; 0 for background; -1 for boxes between them or that take no part.
    """
    images, count = boxes.shape[:2]
    taking_part = _taking_part(assigner, boxes, objects, known)
    best = boxes.new_full((images, count), -1)
    nearest = claimed = torch.zeros((images, count), dtype=torch.long, device=boxes.device)
    step = max(1, MAX_PAIRS // (images * count))
    for start in range(0, objects.boxes.shape[1], step):
        there = objects.known[:, start : start + step, None]
        overlaps = assigner.iou_calculator(objects.boxes[:, start : start + step], boxes)
        overlaps = overlaps.masked_fill(~(there if taking_part is None else there & taking_part[:, None]), -1)
        value, which = overlaps.max(1)
        nearest = torch.where(value > best, which + (start + 1), nearest)
        best = torch.maximum(value, best)
        if assigner.match_low_quality:
            # An object claims the boxes that overlap it most; of several claims to a box the last counts.
            highest = overlaps.amax(2, keepdim=True)
            claims = (overlaps == highest) & (highest >= assigner.min_pos_iou) & there
            numbers = torch.arange(start + 1, start + 1 + claims.shape[1], device=boxes.device)
            last = (claims * numbers[:, None]).amax(1)
            claimed = torch.where(last > 0, last, claimed)
    low, high = assigner.neg_iou_thr if isinstance(assigner.neg_iou_thr, tuple) else (0, assigner.neg_iou_thr)
    background = (best >= low) & (best < high)
    assigned = torch.where(best >= assigner.pos_iou_thr, nearest, background.long() - 1)
    assigned = torch.where(claimed > 0, claimed, assigned)
    # Without an object all is background, even in a crowd.
    assigned = assigned * objects.known[:, :1]
    return assigned if known is None else assigned.masked_fill(~known, -1)


def _taking_part(assigner: MaxIoUAssigner, boxes: Tensor, objects: Objects, known: Tensor | None) -> Tensor | None:
    if assigner.ignore_iof_thr <= 0 or not objects.crowds.shape[1]:
        return known
    outside = assigner.iou_calculator(boxes, objects.crowds, mode='iof').amax(2) <= assigner.ignore_iof_thr
    return outside if known is None else outside & known
