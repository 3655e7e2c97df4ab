# Mask R-CNN with Hiera-B on COCO, 100 epochs at batch 64, from MAE pre-training on ImageNet-1K.
# Learning rate and drop path: paper, table 15. Reported in the paper (table 10): box AP 52.2,
# mask AP 46.3, 73M parameters. Not reproduced here: nobody has published trained weights.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/mask_rcnn_hiera.py',
    './_base_/datasets/coco_instance_lsj.py',
    './_base_/schedules/coco_100e.py',
]

checkpoint = 'https://dl.fbaipublicfiles.com/hiera/mae_hiera_base_224.pth'
model = dict(
    backbone=dict(arch='b', drop_path_rate=0.2, init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    neck=dict(in_channels=[96, 192, 384, 768]),
)
