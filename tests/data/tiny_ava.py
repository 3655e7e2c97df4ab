# The AVA recipe with a tiny backbone, to be trained for an epoch in a test on a few annotated seconds. A config that
# inherits it names the files.
_base_ = '../../configs/ava_hiera_b.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)), drop_path_rate=0.0, init_cfg=None
    ),
    roi_head=dict(bbox_head=dict(in_channels=128)),
)
train_dataloader = dict(batch_size=2, num_workers=0, persistent_workers=False)
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1)
optim_wrapper = dict(optimizer=dict(lr=0.1))
default_hooks = dict(logger=dict(interval=1))
