"""RoI heads that train without waiting for the device."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.models.batched.box_loss import box_losses
from hiera_mm.models.batched.coding import decode
from hiera_mm.models.batched.mask_loss import Positives, mask_loss, require_plain_masks
from hiera_mm.models.batched.objects import Objects
from hiera_mm.models.batched.refusing import require_plain_box_losses, require_plain_sampling
from hiera_mm.models.batched.regions import Regions, sample_regions

import torch
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import DetDataSample
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor


@MODELS.register_module()
class BatchedRoIHead(StandardRoIHead):
    """mmdet's ``StandardRoIHead`` whose loss is computed for all images of a batch at once.

    Each image has as many places for regions as the sampler draws; where it finds fewer, places stay empty and count
    nothing. Losses, gradients, predictions and weights are mmdet's.

    Raises:
        UserError: for an assigner, a sampler or heads whose results would not be mmdet's.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        if self.train_cfg:
            require_plain_sampling(self.bbox_assigner, self.bbox_sampler)
        require_plain_box_losses(self.bbox_head, use_sigmoid=False)
        if self.with_mask:
            require_plain_masks(self.mask_head)

    def loss(
        self, x: Sequence[Tensor], rpn_results_list: list[InstanceData], batch_data_samples: list[DetDataSample]
    ) -> dict[str, Tensor]:
        """Losses of a batch, from maps ``(B, C, H, W)`` and the proposals of each image."""
        truth, ignored, _ = unpack_gt_instances(batch_data_samples)
        objects, x = Objects.of(truth, ignored), _in_float32(x)
        regions = sample_regions(
            self.bbox_assigner, self.bbox_sampler, [found.bboxes for found in rpn_results_list], objects
        )
        # Asked here, before the heads have much to do, the count of positive regions is soon known.
        positives = Positives.of(regions) if self.with_mask else None
        losses, features = self.bbox_loss(x, regions)
        return losses if positives is None else losses | self.mask_loss(x, positives, features, truth)

    def bbox_loss(self, x: Sequence[Tensor], regions: Regions) -> tuple[dict[str, Tensor], Tensor]:
        """Losses of the box head, and the features of the regions."""
        found = self._bbox_forward(x, regions.rois)
        losses = box_losses(self.bbox_head, found['cls_score'], found['bbox_pred'], regions, self.train_cfg.pos_weight)
        return losses, found['bbox_feats']

    def mask_loss(
        self, x: Sequence[Tensor], positives: Positives, features: Tensor, truth: list[InstanceData]
    ) -> dict[str, Tensor]:
        """Loss of the mask head."""
        if self.share_roi_extractor:
            found = self._mask_forward(x, pos_inds=positives.places, bbox_feats=features)
        else:
            found = self._mask_forward(x, positives.rois)
        return dict(loss_mask=mask_loss(self.mask_head, found['mask_preds'], positives, truth, self.train_cfg))


@MODELS.register_module()
class BatchedCascadeRoIHead(CascadeRoIHead):
    """mmdet's ``CascadeRoIHead`` whose loss is computed for all images of a batch at once, as in
    :class:`BatchedRoIHead`.

    Raises:
        UserError: for assigners, samplers or heads whose results would not be mmdet's.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        for assigner, sampler in zip(self.bbox_assigner, self.bbox_sampler, strict=True):
            require_plain_sampling(assigner, sampler)
        for head in self.bbox_head:
            require_plain_box_losses(head, use_sigmoid=False)
        for head in self.mask_head if self.with_mask else ():
            require_plain_masks(head)

    def loss(
        self, x: Sequence[Tensor], rpn_results_list: list[InstanceData], batch_data_samples: list[DetDataSample]
    ) -> dict[str, Tensor]:
        """Losses of a batch, from maps ``(B, C, H, W)`` and the proposals of each image."""
        truth, ignored, metas = unpack_gt_instances(batch_data_samples)
        objects, x = Objects.of(truth, ignored), _in_float32(x)
        losses: dict[str, Tensor] = {}
        proposals: Any = [found.bboxes for found in rpn_results_list]
        for stage, weight in enumerate(self.stage_loss_weights):
            regions = sample_regions(self.bbox_assigner[stage], self.bbox_sampler[stage], proposals, objects)
            positives = Positives.of(regions) if self.with_mask else None
            own, found = self.bbox_loss(stage, x, regions)
            if positives is not None:
                own |= self.mask_loss(stage, x, positives, truth)
            losses |= {f's{stage}.{key}': value * weight if 'loss' in key else value for key, value in own.items()}
            if stage < self.num_stages - 1:
                proposals = self._refined(stage, regions, found, metas)
        return losses

    def bbox_loss(self, stage: int, x: Sequence[Tensor], regions: Regions) -> tuple[dict[str, Tensor], dict]:
        """Losses of a stage's box head, and what it predicts."""
        found = self._bbox_forward(stage, x, regions.rois)
        weight = self.train_cfg[stage].pos_weight
        return box_losses(self.bbox_head[stage], found['cls_score'], found['bbox_pred'], regions, weight), found

    def mask_loss(
        self, stage: int, x: Sequence[Tensor], positives: Positives, truth: list[InstanceData]
    ) -> dict[str, Tensor]:
        """Loss of a stage's mask head."""
        predicted = self._mask_forward(stage, x, positives.rois)['mask_preds']
        return dict(loss_mask=mask_loss(self.mask_head[stage], predicted, positives, truth, self.train_cfg[stage]))

    @torch.no_grad()
    def _refined(self, stage: int, regions: Regions, found: dict, metas: list[dict]) -> tuple[Tensor, Tensor]:
        """The next stage's proposals ``(B, S, 4)``, and which of them count: all but objects' own boxes."""
        head, deltas = self.bbox_head[stage], found['bbox_pred'].float()
        if not head.reg_class_agnostic:
            labels, likely = regions.labels(head.num_classes).flatten(), found['cls_score'][:, :-1].argmax(1)
            labels = torch.where(labels == head.num_classes, likely, labels)
            deltas = deltas.view(len(deltas), -1, 4)[torch.arange(len(labels), device=labels.device), labels]
        boxes = decode(head.bbox_coder, regions.boxes, deltas.view_as(regions.boxes), metas)
        # mmdet leaves out objects' own boxes, all of which are positive.
        return boxes, regions.chosen.known & ~(regions.is_object & regions.chosen.positive)


def _in_float32(maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Both extractors pool in float32, so the maps are cast once for both."""
    return tuple(one.float() for one in maps)
