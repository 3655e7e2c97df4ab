# UNETR with Hiera-B on BTCV, crops of 96^3, from MAE pre-training on Kinetics-400.
# Ours: nobody has published it, and the paper has no volumes; schedule and data as Swin UNETR, whose base model has
# Dice 0.8186 with overlap 0.5 in its code's table of results, from pre-training on CT.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/unetr_hiera.py',
    './_base_/datasets/btcv.py',
    './_base_/schedules/btcv_5000e.py',
]

weights = 'hiera_b_16x224.mae_k400'
model = dict(
    backbone=dict(
        num_frames=_base_.crop_size[2],
        in_channels=_base_.channels,
        arch='b',
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
    ),
    decoder=dict(channels=48, image_channels=_base_.channels),
    data_preprocessor=dict(mean=_base_.means, std=_base_.deviations),
    test_cfg=dict(crop_size=_base_.crop_size[::-1]),
)
