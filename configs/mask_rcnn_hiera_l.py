# Mask R-CNN with Hiera-L on COCO, 100 epochs at batch 64, from MAE pre-training on ImageNet-1K.
# Learning rate and drop path: paper, table 15. Reported in the paper (table 10): box AP 55.0,
# mask AP 48.6, 236M parameters. Not reproduced here: nobody has published trained weights.
# Windows and global blocks: SAM 2's for this size (arXiv 2408.00714); the paper names none.
# Position: absolute-win, as a resized table falls out of step with windows (arXiv 2311.05613); MAE's is split (ours).
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/mask_rcnn_hiera.py',
    './_base_/backbones/hiera_l_windows.py',
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
