# UNETR with Hiera-T on BTCV, crops of 96^3, from MAE pre-training on ImageNet-1K, as Meta has no Hiera-T for clips.
# Ours: nobody has published it, and the paper has no volumes; schedule and data as Swin UNETR, whose small model has
# Dice 0.7934 with overlap 0.5 in its code's table of results, from random weights.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/unetr_hiera.py',
    './_base_/datasets/btcv.py',
    './_base_/schedules/btcv_5000e.py',
]

weights = 'hiera_t.mae_in1k'
model = dict(
    backbone=dict(
        num_frames=_base_.crop_size[2],
        in_channels=_base_.channels,
        arch='t',
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights, inflate=True),
    ),
    decoder=dict(channels=24, image_channels=_base_.channels),
    data_preprocessor=dict(mean=_base_.means, std=_base_.deviations),
    test_cfg=dict(crop_size=_base_.crop_size[::-1]),
)
