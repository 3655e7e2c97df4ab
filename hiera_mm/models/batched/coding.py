"""Deltas that a network learns, from boxes of a batch of images and back."""

import torch
import torch.nn as nn
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from torch import Tensor


def encode(coder: DeltaXYWHBBoxCoder, boxes: Tensor, objects: Tensor, positive: Tensor) -> Tensor:
    """Deltas ``(B * S, 4)`` from boxes ``(B, S, 4)`` to their objects, zeros for boxes that aren't positive."""
    deltas = coder.encode(boxes.flatten(0, 1), objects.flatten(0, 1))
    # Where there is no object, or a box without a width, the deltas are infinite.
    return deltas.masked_fill(~positive.flatten()[:, None], 0)


def box_loss(loss: nn.Module, deltas: Tensor, targets: Tensor, positive: Tensor, count: Tensor) -> Tensor:
    """A loss of mmdet on the positive ones of deltas ``(N, 4)``, divided by a count. With weights mmdet would ask the
    device whether any is above 0."""
    weighed = loss(deltas, targets, reduction_override='none') * positive.flatten()[:, None]
    return weighed.sum() / (count + torch.finfo(torch.float32).eps)


def decode(coder: DeltaXYWHBBoxCoder, boxes: Tensor, deltas: Tensor, metas: list[dict]) -> Tensor:
    """Boxes ``(B, S, 4)`` that deltas ``(B, S, 4)`` make of boxes ``(B, S, 4)``, cut to their images' sizes if the
    coder does so."""
    decoded = coder.decode(boxes.flatten(0, 1), deltas.flatten(0, 1)).view_as(boxes)
    if not coder.clip_border:
        return decoded
    shapes = torch.tensor([meta['img_shape'][:2][::-1] * 2 for meta in metas], dtype=boxes.dtype)
    return torch.minimum(decoded.clamp(min=0), shapes[:, None].to(boxes.device, non_blocking=True))
