"""A mask head that ignores objects without a mask."""

from collections.abc import Sequence

from hiera_mm.readers.coco_files import UNKNOWN_PIXEL

import numpy as np
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead as PlainFCNMaskHead
from mmdet.models.task_modules import SamplingResult
from mmdet.registry import MODELS
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData


# Under mmdet's own name, so that every detector with this head can train on sets in which some objects have no mask.
@MODELS.register_module(name='FCNMaskHead', force=True)
class FCNMaskHead(PlainFCNMaskHead):
    """mmdet's ``FCNMaskHead`` whose loss leaves out objects with an unknown mask
    (:class:`hiera_mm.datasets.load_annotations.LoadAnnotations`)."""

    def loss_and_target(
        self,
        mask_preds: torch.Tensor,
        sampling_results: list[SamplingResult],
        batch_gt_instances: list[InstanceData],
        rcnn_train_cfg: ConfigDict,
    ) -> dict:
        """Same as mmdet's, for predictions ``(positives, classes, height, width)``."""
        known = _known(sampling_results, batch_gt_instances).to(mask_preds.device)
        if known.all():
            return super().loss_and_target(mask_preds, sampling_results, batch_gt_instances, rcnn_train_cfg)
        targets = self.get_targets(
            sampling_results=sampling_results, batch_gt_instances=batch_gt_instances, rcnn_train_cfg=rcnn_train_cfg
        )
        labels = torch.cat([result.pos_gt_labels for result in sampling_results])
        if self.class_agnostic:
            labels = torch.zeros_like(labels)
        # Without any mask the loss is 0, but every parameter must still get a gradient.
        loss = 0 * mask_preds.sum()
        if known.any():
            loss = self.loss_mask(mask_preds[known], targets[known], labels[known])
        return dict(loss_mask=dict(loss_mask=loss), mask_targets=targets)


def _known(sampling_results: Sequence[SamplingResult], batch_gt_instances: Sequence[InstanceData]) -> torch.Tensor:
    """Whether the object of each positive region has a mask, ``(positives,)``."""
    known = []
    for result, truth in zip(sampling_results, batch_gt_instances, strict=True):
        drawn = [not _is_unknown(mask, box) for mask, box in zip(_bitmaps(truth), truth.bboxes.tolist(), strict=False)]
        known += [drawn[index] if drawn else True for index in result.pos_assigned_gt_inds.tolist()]
    return torch.tensor(known, dtype=torch.bool)


def _bitmaps(truth: InstanceData) -> np.ndarray | tuple:
    return truth.masks.masks if isinstance(truth.masks, BitmapMasks) else ()


def _is_unknown(mask: np.ndarray, box: list[float]) -> bool:
    """Look only at the pixel in the middle of the box, which an unknown mask fills; checking all pixels would take
    longer than the loss."""
    x, y = (int((low + high) / 2) for low, high in zip(box[:2], box[2:], strict=True))
    return bool(mask[min(y, mask.shape[0] - 1), min(x, mask.shape[1] - 1)] == UNKNOWN_PIXEL)
