# Masked autoencoding of a small Hiera on generated clips of moving shapes, on a laptop's CPU;
# k400_hiera_t_shapes_mae.py starts from it. All values are ours. Against mae_hiera_b_k400.py only what makes it quick
# differs: the narrow model and the 64 pixels of k400_hiera_t_shapes.py, consecutive frames, fewer masked units since a
# clip has but 32, a small decoder and a short schedule at a higher rate.
import os

_base_ = './mae_hiera_b_k400.py'

data_root = 'data/motion/'
train_ann_file = 'train.txt'
train_data_prefix = dict(video='')
val_ann_file = None
val_data_prefix = dict(video='')
image_size = 64
batch_size = 8
num_workers = 1
epochs = 20
learning_rate = 2e-3

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=32, num_heads=1, depths=(1, 1, 2, 1)),
        drop_path_rate=0.0,
        pos_embed_size=image_size // 4,
    ),
    input_size=(16, image_size, image_size),
    mask_ratio=0.75,
    decoder_embed_dim=128,
    decoder_depth=2,
    decoder_num_heads=4,
)

train_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleFrames', clip_len=16, frame_interval=1, num_clips=1),
    dict(type='ReadFrames'),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [step for step in train_pipeline if step['type'] != 'Flip']
test_pipeline[1] = dict(test_pipeline[1], test_mode=True)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    dataset=dict(
        ann_file=os.path.join(data_root, train_ann_file),
        data_prefix={kind: os.path.join(data_root, folder) for kind, folder in train_data_prefix.items()},
        num_repeats=2,
        pipeline=train_pipeline,
    ),
)

val_dataloader = val_ann_file and dict(
    num_workers=num_workers,
    dataset=dict(
        ann_file=os.path.join(data_root, val_ann_file),
        data_prefix={kind: os.path.join(data_root, folder) for kind, folder in val_data_prefix.items()},
        pipeline=test_pipeline,
    ),
)

# A run of another length keeps the places of all.
warm_up = 1
train_cfg = dict(max_epochs=epochs, val_interval=max(1, epochs // 20))
optim_wrapper = dict(optimizer=dict(lr=learning_rate), clip_grad=dict(max_norm=1.0))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, begin=warm_up, end=epochs)
auto_scale_lr = dict(base_batch_size=8)
randomness = dict(seed=0)
default_hooks = dict(checkpoint=dict(interval=max(1, round(epochs / 20))), logger=dict(interval=50))
