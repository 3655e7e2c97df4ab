# Cascade Mask R-CNN with Hiera-T on COCO, 100 epochs at batch 64, from MAE pre-training on ImageNet-1K.
# The paper has no Hiera-T on COCO. Ours: the rate of Hiera-B (5e-5 to 1e-4 may be better) and drop path 0.1.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/cascade_mask_rcnn_hiera.py',
    './_base_/datasets/coco_instance_lsj.py',
    './_base_/schedules/coco_100e.py',
]

checkpoint = 'https://dl.fbaipublicfiles.com/hiera/mae_hiera_tiny_224.pth'
model = dict(
    backbone=dict(arch='t', drop_path_rate=0.1, init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
