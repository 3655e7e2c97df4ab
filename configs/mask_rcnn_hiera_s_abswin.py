# Mask R-CNN with timm's Hiera-S on COCO, 100 epochs at batch 64: trained by timm as a classifier (ImageNet-12k, then
# ImageNet-1K) with absolute-win tables, LayerScale and pooled shortcuts, so it is not a model of the paper.
# Recipe and windows are mask_rcnn_hiera_s.py's; starting from these weights is ours, and no result is known.
# Weights: timm's, Apache-2.0 (commercial use allowed).
_base_ = './mask_rcnn_hiera_s.py'

weights = 'hiera_s_abswin_256.sbb2_e200_in12k_ft_in1k'
model = dict(
    backbone=dict(
        arch='s_abswin',
        pos_embed_size=16,
        pos_embed_antialias=True,
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
    ),
)
