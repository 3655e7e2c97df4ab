# Mask R-CNN with birder's Hiera-B on COCO, 100 epochs at batch 64: a masked autoencoder that birder trained without
# labels on 12 million images, with absolute-win tables that were learned so, and are not split here; it is not a model
# of the paper. Recipe and windows are mask_rcnn_hiera_b.py's; starting from these weights is ours, and no result is
# known.
# Weights: birder's, Apache-2.0 (commercial use allowed).
_base_ = './mask_rcnn_hiera_b.py'

weights = 'hiera_b_abswin.mim'
model = dict(
    backbone=dict(
        pos_embed_size=14,
        pos_embed_antialias=True,
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
    ),
)
