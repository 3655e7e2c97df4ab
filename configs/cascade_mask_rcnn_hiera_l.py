# Cascade Mask R-CNN with Hiera-L on COCO, 100 epochs at batch 64, from MAE pre-training on ImageNet-1K.
# Learning rate and drop path: as the paper's Mask R-CNN (table 15), since ViTDet trains both heads with one
# schedule (inferred). The paper has no Cascade result.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/cascade_mask_rcnn_hiera.py',
    './_base_/datasets/coco_instance_lsj.py',
    './_base_/schedules/coco_100e.py',
]

checkpoint = 'https://dl.fbaipublicfiles.com/hiera/mae_hiera_large_224.pth'
model = dict(
    backbone=dict(arch='l', drop_path_rate=0.4, init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    neck=dict(in_channels=[144, 288, 576, 1152]),
)
optim_wrapper = dict(optimizer=dict(lr=3e-5))
