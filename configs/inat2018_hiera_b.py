# Hiera-B on iNaturalist-2018, from MAE pre-training on ImageNet-1K. Reported in the paper (table 9): 77.9 top-1.
# Layer decay, drop path and dropout: ours, out of the ranges that the paper searched (appendix A.2: 0.875 to 0.925, 0.1
# to 0.5, 0.1 to 0.3). It names neither learning rate nor epochs; ImageNet's rate and 100 epochs are ours.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/hiera_inat2018.py',
    './_base_/datasets/inat2018.py',
    './_base_/schedules/imagenet_100e.py',
]

weights = 'hiera_b.mae_in1k'
model = dict(
    backbone=dict(arch='b', drop_path_rate=0.2, init_cfg=weights and dict(type='Pretrained', checkpoint=weights)),
    cls_head=dict(in_channels=768, dropout_ratio=0.1),
)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
