# The quickstart of action detection: a small Hiera on generated videos of acting shapes, from random weights, on a
# laptop's CPU. All values are ours. Against ava_hiera_b.py only what makes it quick differs: 128 pixels, consecutive
# frames at 8 a second, a narrow model without drop path and dropout, AdamW, and a short schedule. No flip, as two of
# the actions are going left and right. Beside the mAP stands that of a constant prediction for every box.
_base_ = './ava_hiera_b.py'

data_root = 'data/actions/'
num_classes = 8
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=32, num_heads=1, depths=(1, 1, 2, 1)),
        drop_path_rate=0.0,
        pos_embed_size=32,
        init_cfg=None,
    ),
    roi_head=dict(bbox_head=dict(num_classes=num_classes, in_channels=256, dropout_ratio=0.0)),
)

train_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleAroundKeyFrame', clip_len=16, frame_interval=1),
    dict(type='ReadFrames'),
    dict(type='BoxesToPixels'),
    dict(type='RandomCrop', size=128),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1:3] = train_pipeline[1:3]
test_pipeline[4] = dict(type='Resize', scale=(-1, 128))
test_pipeline[5] = dict(type='CenterCrop', crop_size=128)
films = dict(label_file=data_root + 'actions.pbtxt', exclude_file=None, num_classes=num_classes, fps=8)
train_dataloader = dict(
    batch_size=16,
    num_workers=1,
    dataset=dict(
        **films,
        ann_file=data_root + 'train.csv',
        proposal_file=data_root + 'train_proposals.pkl',
        data_prefix=dict(_delete_=True, video=data_root + 'train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        **films,
        ann_file=data_root + 'val.csv',
        proposal_file=data_root + 'val_proposals.pkl',
        data_prefix=dict(_delete_=True, video=data_root + 'val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
metric = dict(
    ann_file=data_root + 'val.csv', exclude_file=None, label_file=data_root + 'actions.pbtxt', num_classes=num_classes
)
val_evaluator = [
    dict(type='AVAMetric', **metric),
    dict(type='ConstantAVAMetric', prefix='mAP of a constant prediction', **metric),
]
test_evaluator = val_evaluator

epochs = 4
train_cfg = dict(max_epochs=epochs, val_begin=epochs)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(layer_decay_rate=1.0),
    clip_grad=dict(_delete_=True, max_norm=1.0),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=0.01, end=1)
param_scheduler[1].update(T_max=epochs - 1, eta_min_ratio=0.01, begin=1, end=epochs)
auto_scale_lr = dict(base_batch_size=16)
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=10))
