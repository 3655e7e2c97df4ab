# The video quickstart: a small Hiera on generated clips of moving shapes, from random weights, on a laptop's CPU.
# All values are ours. Against k400_hiera_b.py only what makes it quick differs: 64 pixels, consecutive frames, a narrow
# model without drop path, dropout, blending and augmentation, and a short schedule at a higher rate.
_base_ = './k400_hiera_b.py'

data_root = 'data/motion/'
num_classes = 6
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=32, num_heads=1, depths=(1, 1, 2, 1)),
        drop_path_rate=0.0,
        pos_embed_size=16,
        init_cfg=None,
    ),
    cls_head=dict(num_classes=num_classes, in_channels=256, dropout_ratio=0.0, init_scale=1.0, topk=(1,)),
    data_preprocessor=dict(blending=None),
)

train_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleFrames', clip_len=16, frame_interval=1, num_clips=1),
    dict(type='ReadFrames'),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleFrames', clip_len=16, frame_interval=1, num_clips=1, test_mode=True),
    dict(type='ReadFrames'),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        ann_file=data_root + 'train.txt', data_prefix=dict(video=data_root), num_repeats=1, pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(ann_file=data_root + 'val.txt', data_prefix=dict(video=data_root), pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(ann_file=data_root + 'val.txt', data_prefix=dict(video=data_root), pipeline=test_pipeline),
)
val_evaluator = dict(metric_options=dict(top_k_accuracy=dict(topk=(1,))))
test_evaluator = val_evaluator

epochs = 5
train_cfg = dict(max_epochs=epochs, val_begin=epochs)
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=dict(layer_decay_rate=1.0), clip_grad=dict(max_norm=1.0))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=0.01, end=1)
param_scheduler[1].update(T_max=epochs - 1, eta_min_ratio=0.01, begin=1, end=epochs)
auto_scale_lr = dict(base_batch_size=16)
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=10))
