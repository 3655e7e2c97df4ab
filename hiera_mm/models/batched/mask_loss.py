"""The loss of a mask head on regions of a whole batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hiera_mm.models.batched.refusing import refuse_unless
from hiera_mm.models.batched.regions import Regions
from hiera_mm.models.mask_head import FCNMaskHead
from hiera_mm.readers.coco_files import UNKNOWN_PIXEL

import numpy as np
import torch
from mmcv.ops import roi_align
from mmdet.models.losses import CrossEntropyLoss
from mmdet.structures.mask import BitmapMasks, mask_target
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn.modules.utils import _pair


@dataclass(frozen=True)
class Positives:
    """The ``K`` positive regions of a batch, whose count the processor knows.

    Attributes:
        places: ``(K,)``, their places among the ``B * S`` of the regions.
        rois: ``(K, 5)``.
        labels: ``(K,)``.
        numbers: ``(K,)``, their objects among those of all images, numbered from 0 without padding.
        boxes: ``(K, 4)``, boxes of these objects.
    """

    places: Tensor
    rois: Tensor
    labels: Tensor
    numbers: Tensor
    boxes: Tensor

    @classmethod
    def of(cls, regions: Regions) -> 'Positives':
        (places,) = regions.chosen.positive.flatten().nonzero(as_tuple=True)
        known, number = regions.objects.known.sum(1), regions.chosen.number
        return cls(
            places,
            regions.rois[places],
            regions.objects.labels_at(number).flatten()[places],
            (number + (known.cumsum(0) - known)[:, None]).flatten()[places],
            regions.objects.boxes_at(number).flatten(0, 1)[places],
        )


def mask_loss(
    head: FCNMaskHead, mask_preds: Tensor, positives: Positives, truth: Sequence[InstanceData], cfg: ConfigDict
) -> Tensor:
    """What :class:`hiera_mm.models.FCNMaskHead` gives as ``loss_mask``.

    Args:
        mask_preds: ``(K, classes, height, width)``.
        positives: The ``K`` regions.
        truth: Objects with ``masks`` of each image.
        cfg: ``train_cfg`` with ``mask_size``.
    """
    if not len(mask_preds):
        return mask_preds.sum()
    targets, known = mask_targets(positives, truth, cfg)
    labels = torch.zeros_like(positives.labels) if head.class_agnostic else positives.labels
    predicted = mask_preds[torch.arange(len(labels), device=labels.device), labels]
    # The mean over objects with a known mask; every other one weighs 0.
    weights = known.float() * (len(known) / known.sum().clamp(min=1))
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        predicted, targets, weight=weights[:, None, None], reduction='mean'
    )
    return losses[None] * head.loss_mask.loss_weight


def mask_targets(positives: Positives, truth: Sequence[InstanceData], cfg: ConfigDict) -> tuple[Tensor, Tensor]:
    """What of its object's mask lies in each region, ``(K, height, width)`` of zeros and ones as mmdet computes it, and
    whether this mask is known, ``(K,)``."""
    if not all(isinstance(one.masks, BitmapMasks) for one in truth):
        return _targets_of_polygons(positives, truth, cfg)
    masks = _bitmaps(truth, positives.rois.device)
    height, width = masks.shape[1:]
    limits = positives.rois.new_tensor([width, height, width, height])
    regions = torch.minimum(positives.rois[:, 1:].clamp(min=0), limits)
    numbered = torch.cat([positives.numbers[:, None].to(regions), regions], 1)
    pooled = roi_align(masks[:, None].float(), numbered, _pair(cfg.mask_size), 1.0, 0, 'avg', True).squeeze(1)
    x, y = ((positives.boxes[:, :2] + positives.boxes[:, 2:]) / 2).long().unbind(1)
    middle = masks[positives.numbers, y.clamp(max=height - 1), x.clamp(max=width - 1)]
    return (pooled >= 0.5 if not cfg.get('soft_mask_target', False) else pooled).float(), middle != UNKNOWN_PIXEL


def _targets_of_polygons(positives: Positives, truth: Sequence[InstanceData], cfg: ConfigDict) -> tuple[Tensor, Tensor]:
    """As mmdet computes them on the processor, image by image."""
    regions, numbers, first = [], [], 0
    for image, one in enumerate(truth):
        own = positives.rois[:, 0] == image
        regions.append(positives.rois[own, 1:])
        numbers.append(positives.numbers[own] - first)
        first += len(one)
    targets = mask_target(regions, numbers, [one.masks for one in truth], cfg)
    return targets, torch.ones_like(positives.numbers, dtype=torch.bool)


def _bitmaps(truth: Sequence[InstanceData], device: torch.device) -> Tensor:
    """The masks of all images, ``(objects, height, width)``."""
    masks = [one.masks for one in truth]
    height, width = (max(getattr(one, side) for one in masks) for side in ('height', 'width'))
    every = np.zeros((sum(map(len, masks)), height, width), np.uint8)
    start = 0
    for one in masks:
        every[start : start + len(one), : one.height, : one.width] = one.masks
        start += len(one)
    pixels = torch.from_numpy(every)
    return (pixels.pin_memory() if device.type == 'cuda' else pixels).to(device, non_blocking=True)


def require_plain_masks(head: Any) -> None:
    """Check that :func:`mask_loss` computes what a head does.

    Raises:
        UserError: for another head, or another loss.
    """
    refuse_unless(type(head) is FCNMaskHead, head, 'an FCNMaskHead')
    loss = head.loss_mask
    plain = type(loss) is CrossEntropyLoss and loss.use_mask and loss.class_weight is None
    refuse_unless(plain, loss, 'a CrossEntropyLoss with use_mask=True and without class_weight for masks')
