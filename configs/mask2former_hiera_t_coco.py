# Mask2Former with Hiera-T on COCO instances, 50 epochs at batch 16, from MAE pre-training on ImageNet-1K.
# Inferred (ours): nobody has published Hiera under Mask2Former; mmdet's recipe for ResNet-50 and Swin, windows and drop
# path as in mask_rcnn_hiera_t.py, which says where they are from.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = ['./_base_/mask2former_coco.py', './_base_/backbones/hiera_t_windows.py']

model = dict(backbone=_base_.backbone, panoptic_head=dict(in_channels=_base_.map_channels))
