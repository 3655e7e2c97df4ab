# Hiera-H on Kinetics-600, 16 frames of every fourth, from MAE pre-training on Kinetics-400.
# Values: paper, table 11 (the same for all of Kinetics). Reported in the paper (table 5): 88.8 top-1.
# The paper pre-trains on Kinetics-600; those weights were never published, so this start is ours.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/hiera_k600.py',
    './_base_/datasets/kinetics600.py',
    './_base_/schedules/kinetics_50e.py',
]

learning_rate = 4e-4
weights = 'hiera_h_16x224.mae_k400'
model = dict(
    backbone=dict(
        arch='h',
        drop_path_rate=0.3,
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
    ),
    cls_head=dict(in_channels=2048, dropout_ratio=0.5),
)
optim_wrapper = dict(optimizer=dict(lr=learning_rate))
