# Faster R-CNN (boxes only) with Hiera-L on COCO, 100 epochs at batch 64, from MAE pre-training on ImageNet-1K.
# The paper has no boxes-only detector. Ours: mask_rcnn_hiera_l.py without its mask head, rates and drop path as there.
# Windows and global blocks: SAM 2's for this size (arXiv 2408.00714); the paper names none.
# Position: absolute-win, as a resized table falls out of step with windows (arXiv 2311.05613); MAE's is split (ours).
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/faster_rcnn_hiera.py',
    './_base_/backbones/hiera_l_windows.py',
    './_base_/datasets/coco_detection_lsj.py',
    './_base_/schedules/coco_100e.py',
]

learning_rate = 3e-5
model = dict(
    data_preprocessor=dict(pad_size_divisor=_base_.padded_side),
    backbone=_base_.backbone,
    neck=dict(in_channels=_base_.map_channels),
)
optim_wrapper = dict(optimizer=dict(lr=learning_rate))
