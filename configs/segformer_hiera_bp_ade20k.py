# SegFormer's decoder with Hiera-B+ on ADE20K, 160,000 iterations at batch 16, from MAE pre-training on ImageNet-1K.
# Inferred: nobody has published Hiera on ADE20K, and the paper has no semantic segmentation. Ours: layer-wise decay
# 0.85 and drop path 0.1; 768 channels in the decoder, as for MiT-B2 to B5.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = [
    './_base_/models/segformer_hiera.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/ade20k_160k.py',
]

weights = 'hiera_bp.mae_in1k'
model = dict(
    data_preprocessor=dict(size=_base_.rows_first, size_divisor=None),
    backbone=dict(arch='bp', drop_path_rate=0.1, init_cfg=weights and dict(type='Pretrained', checkpoint=weights)),
    decode_head=dict(in_channels=[112, 224, 448, 896], channels=768),
    test_cfg=_base_.windows,
)
