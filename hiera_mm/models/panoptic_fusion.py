"""Joins the masks of queries to one map of segments, and keeps the segments' scores."""

from mmdet.models.seg_heads import MaskFormerFusionHead as PlainMaskFormerFusionHead
from mmdet.registry import MODELS
from mmdet.structures import INSTANCE_OFFSET
from mmengine.structures import PixelData
from torch import Tensor, full, int32


# Registered under mmdet's name, so that the segments of every model of this kind have scores.
@MODELS.register_module(name='MaskFormerFusionHead', force=True)
class MaskFormerFusionHead(PlainMaskFormerFusionHead):
    """mmdet's ``MaskFormerFusionHead``, whose map of segments has their ``scores`` beside it."""

    def panoptic_postprocess(self, mask_cls: Tensor, mask_pred: Tensor) -> PixelData:
        """As in mmdet.

        Args:
            mask_cls: Logits of the classes and of none, ``(queries, classes + 1)``.
            mask_pred: Logits of the masks, ``(queries, H, W)``.

        Returns:
            ``sem_seg`` ``(1, H, W)``, class plus number of the thing times 1000, or the number of classes where there
            is no segment; and ``scores``, by these values the probability of the segment's class, the highest where
            masks of stuff are merged.
        """
        probabilities, labels = mask_cls.softmax(-1).max(-1)
        keep = labels.ne(self.num_classes) & (probabilities > self.test_cfg.get('object_mask_thr', 0.8))
        probabilities, labels, masks = probabilities[keep], labels[keep], mask_pred.sigmoid()[keep]
        segments = full(masks.shape[-2:], self.num_classes, dtype=int32, device=masks.device)
        scores: dict[int, float] = {}
        best = (probabilities.view(-1, 1, 1) * masks).argmax(0) if len(masks) else segments
        things = 0
        for query, (score, label) in enumerate(zip(probabilities.tolist(), labels.tolist(), strict=True)):
            inside, own = best == query, masks[query] >= 0.5
            area, whole = int(inside.sum()), int(own.sum())
            if not area or not whole or area / whole < self.test_cfg.get('iou_thr', 0.8):
                continue
            is_thing = label < self.num_things_classes
            things += is_thing
            number = label + is_thing * things * INSTANCE_OFFSET
            segments[inside & own if self.test_cfg.get('filter_low_score', False) else inside] = number
            scores[number] = max(score, scores.get(number, 0.0))
        return PixelData(sem_seg=segments[None], metainfo=dict(scores=scores))
