# Mask2Former (arXiv 2112.01527) on COCO's things and stuff as mmdet has it: the heads, the recipe of 50 epochs at batch
# 16 with large-scale jitter at 1024 x 1024, the backbone at a tenth of the rate. Panoptic quality, by which the best
# checkpoint is kept beside the last three, needs the package panopticapi.
_base_ = ['mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py', './mask2former_hiera.py']

model = dict(backbone=_base_.hiera)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.backbone_keys))
default_hooks = dict(**_base_.hooks, checkpoint=dict(save_best='coco_panoptic/PQ'))
