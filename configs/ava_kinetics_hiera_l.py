# Hiera-L on AVA-Kinetics, evaluated on AVA 2.2, from fine-tuning on Kinetics-400.
# Ours: the paper trained on AVA alone; the rest is ava_hiera_l.py.
# Weights: Meta's classifier of Kinetics-400, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/ava_hiera.py',
    './_base_/datasets/ava_kinetics.py',
    './_base_/schedules/ava_30e.py',
]

weights = 'hiera_l_16x224.mae_k400_ft_k400'
model = dict(
    backbone=dict(arch='l', init_cfg=weights and dict(type='Pretrained', checkpoint=weights)),
    roi_head=dict(bbox_head=dict(**_base_.counted, in_channels=1152)),
)
