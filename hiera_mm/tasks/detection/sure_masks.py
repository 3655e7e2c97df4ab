"""Masks of those objects only whose scores are high enough, since most objects of an image have low scores."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.models.roi_heads import CascadeRoIHead, StandardRoIHead
from mmengine.structures import InstanceData
from torch import Tensor


def can_choose_masks(model: Any) -> bool:
    """Whether masks of a model can be computed for some of its objects. Other RoI heads, such as HTC's and QueryInst's,
    need all objects at once, or rate boxes by their masks."""
    roi_head: Any = getattr(model, 'roi_head', None)
    plain = StandardRoIHead.predict_mask, CascadeRoIHead.predict_mask
    # Mask Scoring R-CNN and the like change the scores in predict_mask of their own.
    return getattr(roi_head, 'with_mask', False) and getattr(type(roi_head), 'predict_mask', None) in plain


@contextmanager
def masks_from(roi_head: Any, score_thr: float) -> Iterator[list[InstanceData]]:
    """A context in which a RoI head of mmdet predicts the boxes of all objects, but masks only from a score on.

    Yields:
        A list that gets these objects, with their masks and their ``place`` among all, for each image of a batch.
    """
    sure: list[InstanceData] = []
    predict_mask = roi_head.predict_mask

    def predict_sure(
        maps: Sequence[Tensor], metas: list[dict], found: list[InstanceData], rescale: bool = False
    ) -> list[InstanceData]:
        sure.extend(predict_mask(maps, metas, [_from(one, score_thr) for one in found], rescale))
        if rescale:
            # As predict_mask does to the boxes it is given.
            for one, meta in zip(found, metas, strict=True):
                one.bboxes = one.bboxes / one.bboxes.new_tensor(meta['scale_factor']).repeat((1, 2))
        return found

    roi_head.predict_mask = predict_sure
    try:
        yield sure
    finally:
        del roi_head.predict_mask


def _from(found: InstanceData, score_thr: float) -> InstanceData:
    (place,) = torch.nonzero(found.scores >= score_thr, as_tuple=True)
    sure = found[place]
    sure.place = place
    return sure
