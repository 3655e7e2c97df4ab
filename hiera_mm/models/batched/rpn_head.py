"""A region proposal network that trains without waiting for the device."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.models.batched.assigning import assign
from hiera_mm.models.batched.coding import box_loss, decode, encode
from hiera_mm.models.batched.objects import Objects, take
from hiera_mm.models.batched.refusing import refuse_unless, require_plain_box_losses, require_plain_sampling
from hiera_mm.models.batched.sampling import sample

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.models.task_modules.prior_generators import anchor_inside_flags
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor
from torchvision.ops import nms

MAX_SUPPRESSED = 40_000
"""Boxes in one run of non-maximum suppression, which on a GPU takes a bit for each two of them."""


@MODELS.register_module()
class BatchedRPNHead(RPNHead):
    """mmdet's ``RPNHead`` whose loss and whose proposals in training are computed for all images of a batch at once.

    mmdet's goes from image to image and asks the device how many anchors it has found, so that a GPU waits for the
    processor and the processor for the GPU. Losses, gradients and proposals are the same, as are predictions and
    weights.

    Raises:
        UserError: for an assigner, a sampler or losses whose results would not be mmdet's.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        if self.train_cfg:
            require_plain_sampling(self.assigner, self.sampler)
        require_plain_box_losses(self, use_sigmoid=True)
        self._anchors: tuple[Any, Tensor] | None = None

    def loss_and_predict(
        self, x: Sequence[Tensor], batch_data_samples: list[DetDataSample], proposal_cfg: ConfigDict | None = None
    ) -> tuple[dict[str, Tensor], list[InstanceData]]:
        """Losses and proposals of a batch, from maps ``(B, C, H, W)``."""
        truth, ignored, metas = unpack_gt_instances(batch_data_samples)
        scores, deltas = self(x)
        losses = self.loss_by_feat(scores, deltas, truth, metas, ignored)
        return losses, self.propose(scores, deltas, metas, self.test_cfg if proposal_cfg is None else proposal_cfg)

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData | None] | None = None,
    ) -> dict[str, Tensor]:
        """``loss_rpn_cls`` and ``loss_rpn_bbox`` over all levels, from maps ``(B, anchors, H, W)`` and
        ``(B, anchors * 4, H, W)`` of each level."""
        scores, deltas = _flat(cls_scores, 1).squeeze(2), _flat(bbox_preds, 4)
        objects = Objects.of(batch_gt_instances, batch_gt_instances_ignore)
        every = self._all_anchors(cls_scores)
        assigned = assign(
            self.assigner, every.expand(len(scores), -1, -1), objects, self._inside(cls_scores, batch_img_metas)
        )
        chosen = sample(self.sampler, assigned)
        anchors = every[chosen.index]
        targets = encode(self.bbox_coder, anchors, objects.boxes_at(chosen.number), chosen.positive)
        weights = chosen.known.float()
        if self.train_cfg.pos_weight > 0:
            weights = weights.masked_fill(chosen.positive, self.train_cfg.pos_weight)
        # mmdet counts at least one positive and one negative for each image.
        positives = chosen.positive.sum(1)
        count = (positives.clamp(min=1) + (chosen.known.sum(1) - positives).clamp(min=1)).sum()
        loss_cls = self.loss_cls(
            scores.gather(1, chosen.index).flatten(),
            chosen.positive.flatten(),
            weights.flatten(),
            avg_factor=count,
        )
        deltas = take(deltas, chosen.index).flatten(0, 1)
        loss_bbox = box_loss(self.loss_bbox, deltas, targets, chosen.positive, count)
        return dict(loss_rpn_cls=loss_cls, loss_rpn_bbox=loss_bbox)

    @torch.no_grad()
    def propose(
        self, cls_scores: list[Tensor], bbox_preds: list[Tensor], batch_img_metas: list[dict], cfg: ConfigDict
    ) -> list[InstanceData]:
        """Proposals of each image, best first, with ``bboxes``, ``scores`` and ``labels`` of 0.

        Raises:
            UserError: for another suppression than ``nms``.
        """
        plain = cfg.nms.get('type', 'nms') == 'nms' and cfg.nms.keys() <= {'type', 'iou_threshold', 'split_thr'}
        refuse_unless(plain, cfg.nms, f'a suppression of proposals by nms with iou_threshold alone, unlike {cfg.nms}')
        scores, deltas = _flat(cls_scores, 1).squeeze(2).sigmoid(), _flat(bbox_preds, 4)
        best, index, levels, start = [], [], [], 0
        for level, maps in enumerate(cls_scores):
            count = maps[0].numel()
            wanted = cfg.nms_pre if 0 < cfg.get('nms_pre', -1) < count else count
            value, place = scores[:, start : start + count].topk(wanted)
            best.append(value)
            index.append(place + start)
            levels += [level] * wanted
            start += count
        score, places = torch.cat(best, 1), torch.cat(index, 1)
        boxes = decode(self.bbox_coder, self._all_anchors(cls_scores)[places], take(deltas, places), batch_img_metas)
        if cfg.get('min_bbox_size', -1) >= 0:
            sides = boxes[..., 2:] - boxes[..., :2]
            score = score.masked_fill((sides <= cfg.min_bbox_size).any(2), -1)
        kept = _suppress(boxes, score, torch.tensor(levels).to(boxes.device, non_blocking=True), cfg.nms)
        score, places = score.masked_fill(~kept, -1).topk(min(cfg.max_per_img, score.shape[1]))
        boxes, labels = take(boxes, places), torch.zeros_like(places)
        counts = (score >= 0).sum(1).tolist()
        return [
            InstanceData(bboxes=box[:count], scores=value[:count], labels=label[:count])
            for box, value, label, count in zip(boxes, score, labels, counts, strict=True)
        ]

    def _all_anchors(self, maps: list[Tensor]) -> Tensor:
        """Anchors ``(N, 4)`` of all levels; the last ones are kept, as batches are mostly of one size."""
        sizes, device = [one.shape[-2:] for one in maps], maps[0].device
        if self._anchors is None or self._anchors[0] != (sizes, device):
            self._anchors = (sizes, device), torch.cat(self.prior_generator.grid_priors(sizes, device=device))
        return self._anchors[1]

    def _inside(self, maps: list[Tensor], metas: list[dict]) -> Tensor | None:
        """Which anchors of which image may be assigned, ``(B, N)``, or None if all may."""
        sizes, device = [one.shape[-2:] for one in maps], maps[0].device
        border = self.train_cfg.allowed_border
        filled = all(
            pad[0] > (height - 1) * stride[1] and pad[1] > (width - 1) * stride[0]
            for pad in (meta['pad_shape'] for meta in metas)
            for (height, width), stride in zip(sizes, self.prior_generator.strides, strict=True)
        )
        if border < 0 and filled:
            return None
        anchors, inside = self._all_anchors(maps), []
        for meta in metas:
            flags = torch.cat(self.prior_generator.valid_flags(sizes, meta['pad_shape'], device))
            inside.append(anchor_inside_flags(anchors, flags, meta['img_shape'][:2], border))
        return torch.stack(inside)


def _flat(maps: list[Tensor], width: int) -> Tensor:
    """Maps ``(B, anchors * width, H, W)`` of all levels as ``(B, N, width)`` in float32."""
    return torch.cat([one.permute(0, 2, 3, 1).reshape(len(one), -1, width) for one in maps], 1).float()


def _suppress(boxes: Tensor, scores: Tensor, levels: Tensor, cfg: ConfigDict) -> Tensor:
    """Which boxes ``(B, K)`` remain."""
    images, at_once = len(scores), _images_at_once(scores)
    # Levels stand side by side and the images of a run one below the other, far enough that none overlap.
    rows = torch.arange(images, device=boxes.device) % at_once
    steps = torch.stack(torch.meshgrid(levels, rows, indexing='xy'), 2)
    shifted = boxes + (steps * (boxes.max() + 1)).repeat(1, 1, 2)
    remains = torch.zeros_like(scores, dtype=torch.bool)
    for run in zip(*(x.split(at_once) for x in (shifted, scores, remains)), strict=True):
        there, score, remain = (x.flatten(0, 1) for x in run)
        remain.index_fill_(0, nms(there, score, cfg.iou_threshold), True)
    return remains


def _images_at_once(scores: Tensor) -> int:
    """A GPU takes many images in one run; a CPU would compare all boxes of a run, also those of other images."""
    return max(1, MAX_SUPPRESSED // scores.shape[1]) if scores.is_cuda else 1
