# Hiera-T on ImageNet-1K, 300 epochs at batch 1024, from its MAE pre-training of 1600 epochs.
# Values: paper, table 14. Reported in the paper (table 8): 82.8 top-1.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/hiera_in1k.py',
    './_base_/datasets/imagenet.py',
    './_base_/schedules/imagenet_300e.py',
]

learning_rate = 2e-3
weights = 'hiera_t.mae_in1k'
model = dict(
    backbone=dict(arch='t', drop_path_rate=0.1, init_cfg=weights and dict(type='Pretrained', checkpoint=weights)),
    cls_head=dict(in_channels=768),
)
optim_wrapper = dict(optimizer=dict(lr=learning_rate), paramwise_cfg=dict(layer_decay_rate=0.65))
