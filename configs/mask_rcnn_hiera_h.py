# Mask R-CNN with Hiera-H on COCO, 100 epochs at batch 64, from MAE pre-training on ImageNet-1K.
# The paper has no Hiera-H on COCO. Ours: the rate of Hiera-L, and ViTDet-H's drop path of 0.5.
# Windows and global blocks: ours, those of the size of equal depth in SAM 2 (arXiv 2408.00714); the paper names none.
# Position: absolute-win, as a resized table falls out of step with windows (arXiv 2311.05613); MAE's is split (ours).
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/mask_rcnn_hiera.py',
    './_base_/datasets/coco_instance_lsj.py',
    './_base_/schedules/coco_100e.py',
]

model = dict(
    backbone=dict(
        arch='h',
        window_sizes=(8, 4, 16, 8),
        global_blocks=(23, 33, 43),
        drop_path_rate=0.5,
        init_cfg=dict(type='Pretrained', checkpoint='hiera_h.mae_in1k'),
    ),
    neck=dict(in_channels=[256, 512, 1024, 2048]),
)
optim_wrapper = dict(optimizer=dict(lr=3e-5))
