# Hiera-H on Kinetics-400, 16 frames of every fourth, from MAE pre-training on Kinetics-400.
# Values: paper, table 11. Reported in the paper (table 4): 87.8 top-1 with 3 crops of 5 clips.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/hiera_k400.py',
    './_base_/datasets/kinetics400.py',
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
