# Mask R-CNN with Hiera-L on COCO, 100 epochs at batch 64, from MAE pre-training on ImageNet-1K.
# Learning rate and drop path: paper, table 15. Reported in the paper (table 10): box AP 55.0,
# mask AP 48.6, 236M parameters. Not reproduced here: nobody has published trained weights.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/mask_rcnn_hiera.py',
    './_base_/datasets/coco_instance_lsj.py',
    './_base_/schedules/coco_100e.py',
]

checkpoint = 'https://dl.fbaipublicfiles.com/hiera/mae_hiera_large_224.pth'
model = dict(
    backbone=dict(arch='l', drop_path_rate=0.4, init_cfg=dict(type='Pretrained', checkpoint=checkpoint)),
    neck=dict(in_channels=[144, 288, 576, 1152]),
)
optim_wrapper = dict(optimizer=dict(lr=3e-5))
