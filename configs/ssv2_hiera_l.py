# Hiera-L on Something-Something v2, one frame of each of 16 segments, from MAE pre-training on Kinetics-400.
# Values: paper, table 12. Reported in the paper (table 6): 74.7 top-1 with 3 crops of one clip, 75.0 of two.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = ['./_base_/models/hiera_ssv2.py', './_base_/datasets/ssv2.py', './_base_/schedules/ssv2_40e.py']

weights = 'hiera_l_16x224.mae_k400'
model = dict(
    backbone=dict(
        arch='l',
        drop_path_rate=0.1,
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
    ),
    cls_head=dict(in_channels=1152, dropout_ratio=0.5),
)
