# The quickstart's detector, small enough to train for two iterations in a test.
_base_ = '../../configs/mask_rcnn_hiera_t_shapes.py'

model = dict(
    data_preprocessor=dict(pad_size_divisor=64),
    backbone=dict(arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))),
    neck=dict(in_channels=[16, 32, 64, 128]),
)
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(type='Resize', scale=(64, 64), keep_ratio=True)
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale=(64, 64), keep_ratio=True)
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline)
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

train_cfg = dict(max_iters=2, val_interval=2)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1, max_keep_ckpts=3))
