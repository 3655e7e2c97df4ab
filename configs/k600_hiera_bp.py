# Hiera-B+ on Kinetics-600, 16 frames of every fourth, from MAE pre-training on Kinetics-400.
# The paper has no such model. Ours: the values of Kinetics-400 (table 11) and its start.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/hiera_k600.py',
    './_base_/datasets/kinetics600.py',
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
