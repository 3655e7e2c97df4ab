# Cascade Mask R-CNN with Hiera-H on COCO, 100 epochs at batch 64, from MAE pre-training on ImageNet-1K.
# The paper has no Hiera-H on COCO. Ours: the rate of Hiera-L, and ViTDet-H's drop path of 0.5.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/cascade_mask_rcnn_hiera.py',
    './_base_/datasets/coco_instance_lsj.py',
    './_base_/schedules/coco_100e.py',
]

checkpoint = 'https://dl.fbaipublicfiles.com/hiera/mae_hiera_huge_224.pth'
model = dict(
    backbone=dict(arch='h', drop_path_rate=0.5, init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    neck=dict(in_channels=[256, 512, 1024, 2048]),
)
optim_wrapper = dict(optimizer=dict(lr=3e-5))
