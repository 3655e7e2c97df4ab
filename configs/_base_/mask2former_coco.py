# Mask2Former (arXiv 2112.01527) on COCO's instances as mmdet has it: the heads, the recipe of 50 epochs at batch 16
# with large-scale jitter at 1024 x 1024, the backbone at a tenth of the rate. Beside the last three, the checkpoint
# with the best mask AP is kept.
_base_ = ['mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py', './mask2former_hiera.py']

model = dict(backbone=_base_.hiera)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=_base_.backbone_keys))
default_hooks = dict(**_base_.hooks, checkpoint=dict(save_best='coco/segm_mAP'))
