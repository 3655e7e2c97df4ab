# Hiera-L on AVA 2.2, one clip of 16 frames of every fourth, from fine-tuning on Kinetics-400.
# Values: paper, table 13. Reported in the paper (table 7): 39.8 mAP, centre crop.
# Weights: Meta's classifier of Kinetics-400, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/ava_hiera.py',
    './_base_/datasets/ava22.py',
    './_base_/schedules/ava_30e.py',
]

weights = 'hiera_l_16x224.mae_k400_ft_k400'
model = dict(
    backbone=dict(arch='l', init_cfg=weights and dict(type='Pretrained', checkpoint=weights)),
    roi_head=dict(bbox_head=dict(**_base_.counted, in_channels=1152)),
)
