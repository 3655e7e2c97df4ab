# The recipe of distillation with tiny models, on a few small images, to be trained for some iterations in a test.
_base_ = '../../configs/distill_hiera_t_shapes.py'

size = 64
tiny = dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
model = dict(backbone=dict(arch=tiny, pos_embed_size=size // 4))
train_pipeline = _base_.train_pipeline
train_pipeline[1].update(size=size)
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
train_cfg = dict(max_epochs=2)
default_hooks = dict(logger=dict(interval=1))
