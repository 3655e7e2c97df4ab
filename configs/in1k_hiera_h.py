# Hiera-H on ImageNet-1K, 50 epochs at batch 1024, from its MAE pre-training of 1600 epochs.
# Values: paper, table 14. Reported in the paper (table 8): 86.9 top-1.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/hiera_in1k.py',
    './_base_/datasets/imagenet.py',
    './_base_/schedules/imagenet_50e.py',
]

weights = 'hiera_h.mae_in1k'
model = dict(
    backbone=dict(arch='h', drop_path_rate=0.3, init_cfg=weights and dict(type='Pretrained', checkpoint=weights)),
    cls_head=dict(in_channels=2048),
)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.85))
