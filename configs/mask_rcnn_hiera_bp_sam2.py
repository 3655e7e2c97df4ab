# Mask R-CNN with Hiera-B+ on COCO, 100 epochs at batch 64, from the trunk of SAM 2.1, which was trained further on
# SA-1B and SA-V with windows and two position tables of its own; both are kept as they are there.
# The recipe is mask_rcnn_hiera_bp.py's (paper, table 15); training it from SAM 2 is ours, and no result is known.
# Weights: Meta's, Apache-2.0 (commercial use allowed).
_base_ = './mask_rcnn_hiera_bp.py'

weights = 'sam2.1_hiera_bp'
model = dict(
    backbone=dict(
        window_sizes=(8, 4, 14, 7), pos_embed_size=14, init_cfg=weights and dict(type='Pretrained', checkpoint=weights)
    ),
)
