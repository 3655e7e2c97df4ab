# Hiera-B on AVA 2.2, one clip of 16 frames of every fourth, from fine-tuning on Kinetics-400.
# Ours: the paper trained L and H only. L's recipe with the layer and path rates of Hiera-B on Kinetics.
# Weights: Meta's classifier of Kinetics-400, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/ava_hiera.py',
    './_base_/datasets/ava22.py',
    './_base_/schedules/ava_30e.py',
]

weights = 'hiera_b_16x224.mae_k400_ft_k400'
model = dict(
    backbone=dict(arch='b', drop_path_rate=0.2, init_cfg=weights and dict(type='Pretrained', checkpoint=weights)),
    roi_head=dict(bbox_head=dict(**_base_.counted, in_channels=768)),
)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
