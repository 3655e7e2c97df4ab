# UPerNet with Hiera-L on ADE20K, 160,000 iterations at batch 16, from MAE pre-training on ImageNet-1K.
# Inferred: nobody has published Hiera on ADE20K, and the paper has no semantic segmentation. Ours: layer-wise decay
# 0.9 and drop path 0.1; 512 channels in the decoder, as for Swin.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/upernet_hiera.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/ade20k_160k.py',
]

weights = 'hiera_l.mae_in1k'
model = dict(
    data_preprocessor=dict(size=_base_.rows_first, size_divisor=None),
    backbone=dict(arch='l', drop_path_rate=0.1, init_cfg=weights and dict(type='Pretrained', checkpoint=weights)),
    decode_head=dict(in_channels=[144, 288, 576, 1152]),
    auxiliary_head=dict(in_channels=576),
    test_cfg=_base_.windows,
)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
