# The quickstart of action detection: a small Hiera on generated videos of acting shapes, from random weights, on a
# laptop's CPU. All values are ours. Against ava_hiera_b.py only what makes it quick differs: 128 pixels, consecutive
# frames at 8 a second, a narrow model without drop path and dropout, AdamW, and a short schedule. No flip, as two of
# the actions are going left and right.
import os

_base_ = './ava_hiera_b.py'

data_root = 'data/actions/'
label_file = 'actions.pbtxt'
train_ann_file = 'train.csv'
train_exclude_file = None
train_proposal_file = 'train_proposals.pkl'
train_data_prefix = dict(_delete_=True, video='train')
val_ann_file = 'val.csv'
val_exclude_file = None
val_proposal_file = 'val_proposals.pkl'
val_data_prefix = dict(_delete_=True, video='val')
test_ann_file = val_ann_file
test_exclude_file = val_exclude_file
test_proposal_file = val_proposal_file
test_data_prefix = val_data_prefix
num_classes = 8
image_size = 128
batch_size = 16
num_workers = 1
epochs = 4
learning_rate = 1e-3
weights = None

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=32, num_heads=1, depths=(1, 1, 2, 1)),
        drop_path_rate=0.0,
        pos_embed_size=image_size // 4,
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
    ),
    roi_head=dict(bbox_head=dict(num_classes=num_classes, in_channels=256, dropout_ratio=0.0)),
)

train_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleAroundKeyFrame', clip_len=16, frame_interval=1),
    dict(type='ReadFrames'),
    dict(type='BoxesToPixels'),
    dict(type='RandomCrop', size=image_size),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs'),
]
test_pipeline = _base_.test_pipeline
test_pipeline[1:3] = train_pipeline[1:3]
test_pipeline[4] = dict(type='Resize', scale=(-1, image_size))
test_pipeline[5] = dict(type='CenterCrop', crop_size=image_size)
labels = dict(label_file=label_file and os.path.join(data_root, label_file), num_classes=num_classes)
val_scored = dict(
    **labels,
    ann_file=os.path.join(data_root, val_ann_file),
    exclude_file=val_exclude_file and os.path.join(data_root, val_exclude_file),
)
test_scored = dict(
    **labels,
    ann_file=os.path.join(data_root, test_ann_file),
    exclude_file=test_exclude_file and os.path.join(data_root, test_exclude_file),
)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    dataset=dict(
        **labels,
        ann_file=os.path.join(data_root, train_ann_file),
        exclude_file=train_exclude_file and os.path.join(data_root, train_exclude_file),
        proposal_file=train_proposal_file and os.path.join(data_root, train_proposal_file),
        data_prefix=dict(
            _delete_=True,
            **{k: os.path.join(data_root, v) for k, v in train_data_prefix.items() if k != '_delete_'},
        ),
        fps=8,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(
        **val_scored,
        proposal_file=val_proposal_file and os.path.join(data_root, val_proposal_file),
        data_prefix=dict(
            _delete_=True,
            **{k: os.path.join(data_root, v) for k, v in val_data_prefix.items() if k != '_delete_'},
        ),
        fps=8,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(
        **test_scored,
        proposal_file=test_proposal_file and os.path.join(data_root, test_proposal_file),
        data_prefix=dict(
            _delete_=True,
            **{k: os.path.join(data_root, v) for k, v in test_data_prefix.items() if k != '_delete_'},
        ),
        fps=8,
        pipeline=test_pipeline,
    ),
)
val_evaluator = val_scored
test_evaluator = test_scored

# A run of another length keeps the places of all.
warm_up = max(1, round(epochs / 4))
interval = max(1, round(epochs / 4))
train_cfg = dict(max_epochs=epochs, val_begin=epochs, val_interval=interval)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=learning_rate, weight_decay=0.05),
    paramwise_cfg=dict(layer_decay_rate=1.0),
    clip_grad=dict(_delete_=True, max_norm=1.0),
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=0.01, end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, eta_min_ratio=0.01, begin=warm_up, end=epochs)
auto_scale_lr = dict(base_batch_size=16)
randomness = dict(seed=0)
default_hooks = dict(checkpoint=dict(interval=interval), logger=dict(interval=10))
