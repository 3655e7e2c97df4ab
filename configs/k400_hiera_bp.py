# Hiera-B+ on Kinetics-400, 16 frames of every fourth, from MAE pre-training on Kinetics-400.
# Values: paper, table 11. Reported in the paper (table 4): 85.0 top-1 with 3 crops of 5 clips.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/hiera_k400.py',
    './_base_/datasets/kinetics400.py',
    './_base_/schedules/kinetics_75e.py',
]

weights = 'hiera_bp_16x224.mae_k400'
model = dict(
    backbone=dict(
        arch='bp',
        drop_path_rate=0.2,
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
    ),
    cls_head=dict(in_channels=896, dropout_ratio=0.3),
)
