"""Record what compiled mmcv operators give, for tests/ops: ``python tests/data/make_mmcv_ops.py``.

Needs an environment whose mmcv was compiled (mmcv_ops.pt was recorded with the CPU sources of onedl-mmcv
2.3.6). Inputs are stored beside the results, so that the tests depend on no random generator.
"""

from pathlib import Path

import torch
from mmcv.ops import RoIAlign, batched_nms, nms, soft_nms


def record() -> dict:
    torch.manual_seed(0)
    boxes = torch.rand(300, 4) * 60
    boxes[:, 2:] += boxes[:, :2]
    scores = torch.randperm(300) / 300  # distinct: the order of ties depends on the processor's sort
    tied_scores = (torch.rand(300) * 50).round() / 50
    classes = torch.randint(0, 3, (300,))
    return dict(
        boxes=boxes,
        scores=scores,
        tied_scores=tied_scores,
        classes=classes,
        nms=[
            dict(arguments=arguments, result=nms(boxes, scores, **arguments))
            for offset in (0, 1)
            for arguments in (
                dict(iou_threshold=0.5, offset=offset),
                dict(iou_threshold=0.3, offset=offset, score_threshold=0.4),
                dict(iou_threshold=0.7, offset=offset, score_threshold=0.2, max_num=20),
            )
        ],
        soft_nms=[
            dict(arguments=arguments, result=soft_nms(boxes, tied_scores, **arguments))
            for method in ('naive', 'linear', 'gaussian')
            for offset in (0, 1)
            for arguments in [dict(iou_threshold=0.3, sigma=0.5, min_score=0.05, method=method, offset=offset)]
        ],
        batched_nms=[
            dict(arguments=arguments, result=batched_nms(boxes, scores, classes, **arguments))
            for arguments in (
                dict(nms_cfg=dict(type='nms', iou_threshold=0.5)),
                dict(nms_cfg=dict(type='nms', iou_threshold=0.5), class_agnostic=True),
                dict(nms_cfg=dict(type='nms', iou_threshold=0.5, max_num=30, split_thr=100)),
                dict(nms_cfg=dict(type='soft_nms', iou_threshold=0.3, min_score=0.05)),
            )
        ],
        **record_roi_align(),
    )


def record_roi_align() -> dict:
    feature_map = torch.randn(2, 3, 12, 17)
    corner = torch.rand(9, 2) * torch.tensor([60.0, 40.0]) - 6  # some lie partly outside
    rois = torch.cat([torch.randint(0, 2, (9, 1)).float(), corner, corner + torch.rand(9, 2) * 40], dim=1)
    rois[-1, 3:] = rois[-1, 1:3]  # an empty box
    cases = []
    for aligned in (True, False):
        for sampling_ratio in (0, 1, 2, 3):
            arguments = dict(
                output_size=(4, 3), spatial_scale=0.25, sampling_ratio=sampling_ratio, pool_mode='avg', aligned=aligned
            )
            tracked = feature_map.clone().requires_grad_()
            pooled = RoIAlign(**arguments)(tracked, rois)
            upstream = torch.linspace(-1, 1, pooled.numel()).reshape(pooled.shape)
            (gradient,) = torch.autograd.grad(pooled, tracked, upstream)
            cases.append(dict(arguments=arguments, result=pooled.detach(), gradient=gradient, upstream=upstream))
    return dict(feature_map=feature_map, rois=rois, roi_align=cases)


if __name__ == '__main__':
    import mmcv._ext

    assert getattr(mmcv._ext, '__file__', None), 'mmcv._ext is not compiled here'
    torch.save(record(), Path(__file__).with_name('mmcv_ops.pt'))
