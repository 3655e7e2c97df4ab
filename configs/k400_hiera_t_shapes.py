# The video quickstart: a small Hiera on generated clips of moving shapes, from random weights, on a laptop's CPU.
# All values are ours. Against k400_hiera_b.py only what makes it quick differs: 64 pixels, consecutive frames, a narrow
# model without drop path, dropout, blending and augmentation, and a short schedule at a higher rate.
import os

_base_ = './k400_hiera_b.py'

data_root = 'data/motion/'
train_ann_file = 'train.txt'
train_data_prefix = dict(video='')
val_ann_file = 'val.txt'
val_data_prefix = dict(video='')
test_ann_file = val_ann_file
test_data_prefix = val_data_prefix
num_classes = 6
image_size = 64
batch_size = 16
num_workers = 1
epochs = 5
learning_rate = 1e-3
weights = None

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=32, num_heads=1, depths=(1, 1, 2, 1)),
        drop_path_rate=0.0,
        pos_embed_size=image_size // 4,
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
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
    batch_size=batch_size,
    num_workers=num_workers,
    collate_fn=dict(type='pseudo_collate'),
    dataset=dict(
        ann_file=os.path.join(data_root, train_ann_file),
        data_prefix={kind: os.path.join(data_root, folder) for kind, folder in train_data_prefix.items()},
        num_repeats=1,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=num_workers,
    dataset=dict(
        ann_file=os.path.join(data_root, val_ann_file),
        data_prefix={kind: os.path.join(data_root, folder) for kind, folder in val_data_prefix.items()},
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=16,
    num_workers=num_workers,
    dataset=dict(
        ann_file=os.path.join(data_root, test_ann_file),
        data_prefix={kind: os.path.join(data_root, folder) for kind, folder in test_data_prefix.items()},
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(metric_options=dict(top_k_accuracy=dict(topk=(1,))))
test_evaluator = val_evaluator

# A run of another length keeps the places of all.
warm_up = max(1, round(epochs / 5))
interval = max(1, round(epochs / 5))
train_cfg = dict(max_epochs=epochs, val_begin=epochs, val_interval=interval)
optim_wrapper = dict(
    optimizer=dict(lr=learning_rate), paramwise_cfg=dict(layer_decay_rate=1.0), clip_grad=dict(max_norm=1.0)
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=0.01, end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, eta_min_ratio=0.01, begin=warm_up, end=epochs)
auto_scale_lr = dict(base_batch_size=16)
randomness = dict(seed=0)
default_hooks = dict(checkpoint=dict(interval=interval), logger=dict(interval=10))
