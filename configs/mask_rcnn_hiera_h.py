# Mask R-CNN with Hiera-H on COCO, 100 epochs at batch 64, from MAE pre-training on ImageNet-1K.
# The paper has no Hiera-H on COCO. Ours: the rate of Hiera-L, and ViTDet-H's drop path of 0.5.
# Windows and global blocks: ours, those of the size of equal depth in SAM 2 (arXiv 2408.00714); the paper names none.
# Position: absolute-win, as a resized table falls out of step with windows (arXiv 2311.05613); MAE's is split (ours).
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/mask_rcnn_hiera.py',
    './_base_/backbones/hiera_h_windows.py',
    './_base_/datasets/coco_instance_lsj.py',
    './_base_/schedules/coco_100e.py',
]

learning_rate = 3e-5
model = dict(
    data_preprocessor=dict(pad_size_divisor=_base_.padded_side),
    backbone=_base_.backbone,
    neck=dict(in_channels=_base_.map_channels),
)
optim_wrapper = dict(optimizer=dict(lr=learning_rate))
