# Hiera-B on Something-Something v2, one frame of each of 16 segments, from MAE pre-training on Kinetics-400.
# The paper has no such model. Ours: the values of Hiera-L (table 12), with the head dropout of Kinetics.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = ['./_base_/models/hiera_ssv2.py', './_base_/datasets/ssv2.py', './_base_/schedules/ssv2_40e.py']

weights = 'hiera_b_16x224.mae_k400'
model = dict(
    backbone=dict(
        arch='b',
        drop_path_rate=0.1,
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
    ),
    cls_head=dict(in_channels=768, dropout_ratio=0.3),
)
