# The quickstart of volumes, small enough to train for two epochs in a test.
_base_ = '../../configs/unetr_hiera_t_shapes.py'

model = dict(
    backbone=dict(arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))),
    decoder=dict(in_channels=[16, 32, 64, 128], channels=2),
)
train_dataloader = dict(num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
epochs = 2
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
param_scheduler = [dict(type='CosineAnnealingLR', T_max=epochs, by_epoch=True)]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=1, max_keep_ckpts=3))
