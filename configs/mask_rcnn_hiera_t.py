# Mask R-CNN with Hiera-T on COCO, 100 epochs at batch 64, from MAE pre-training on ImageNet-1K.
# The paper has no Hiera-T on COCO. Ours: the rate of Hiera-B (5e-5 to 1e-4 may be better) and drop path 0.1.
# Windows: 16 and 8 tokens in stages 3 and 4, which divide 1024 pixels evenly (ours; SAM 2's 14 and 7 do not).
# Global blocks: SAM 2's for this size (arXiv 2408.00714); the paper names none.
# Position: absolute-win, as a resized table falls out of step with windows (arXiv 2311.05613); MAE's is split (ours).
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/mask_rcnn_hiera.py',
    './_base_/backbones/hiera_t_windows.py',
    './_base_/datasets/coco_instance_lsj.py',
    './_base_/schedules/coco_100e.py',
]

model = dict(
    data_preprocessor=dict(pad_size_divisor=_base_.padded_side),
    backbone=_base_.backbone,
    neck=dict(in_channels=_base_.map_channels),
)
