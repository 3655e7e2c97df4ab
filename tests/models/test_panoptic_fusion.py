"""Joining masks gives what mmdet's head gives, and the segments' scores."""

from hiera_mm.models.panoptic_fusion import MaskFormerFusionHead

import pytest
import torch
from mmdet.models.seg_heads import MaskFormerFusionHead as Plain


@pytest.mark.parametrize('settings', [dict(), dict(filter_low_score=True), dict(object_mask_thr=0.3, iou_thr=0.4)])
@pytest.mark.parametrize('things, stuff', [(3, 2), (3, 0), (1, 4)])
def test_it_joins_as_mmdet_does(settings, things, stuff):
    own, plain = (
        head(num_things_classes=things, num_stuff_classes=stuff, test_cfg=settings)
        for head in (MaskFormerFusionHead, Plain)
    )
    classes = torch.randn(12, things + stuff + 1) * 6
    masks = torch.nn.functional.interpolate(torch.randn(1, 12, 6, 6), scale_factor=4, mode='bilinear')[0] * 5
    found = own.panoptic_postprocess(classes, masks)
    assert torch.equal(found.sem_seg, plain.panoptic_postprocess(classes, masks).sem_seg)
    present = set(found.sem_seg.unique().tolist()) - {things + stuff}
    assert present <= found.scores.keys()
    assert all(settings.get('object_mask_thr', 0.8) < score <= 1 for score in found.scores.values())


def test_without_masks_there_are_no_segments():
    head = MaskFormerFusionHead(num_things_classes=1, num_stuff_classes=1, test_cfg={})
    found = head.panoptic_postprocess(torch.tensor([[0.0, 0.0, 9.0]]), torch.zeros(1, 4, 4))
    assert found.sem_seg.unique().tolist() == [2] and found.scores == {}
