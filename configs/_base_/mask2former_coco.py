# Mask2Former (arXiv 2112.01527) on COCO as mmdet has it: the heads, the recipe of 50 epochs at batch 16 with
# large-scale jitter at 1024 x 1024, the backbone at a tenth of the rate. Inferred, as nobody has published Hiera
# under it: one LayerNorm on each map and absolute-win positions, as in this suite's Mask R-CNN; no weight decay of
# the backbone's norms and position tables, as mmdet has it for Swin.
_base_ = 'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py'

backbone_undecayed = dict(lr_mult=0.1, decay_mult=0.0)
most_blocks = 48
model = dict(backbone=dict(_delete_=True, type='Hiera', pos_embed='absolute_win', out_norm=True))
optim_wrapper = dict(
    paramwise_cfg=dict(
        custom_keys={
            'backbone.pos_embed': backbone_undecayed,
            'backbone.out_norms': backbone_undecayed,
            **{f'backbone.blocks.{number}.norm': backbone_undecayed for number in range(most_blocks)},
        }
    )
)

custom_imports = dict(imports=['hiera_mm'], allow_failed_imports=False)
# Beside the last three, the checkpoint with the best mask AP is kept.
default_hooks = dict(
    checkpoint=dict(save_best='coco/segm_mAP'),
    logger=dict(log_metric_by_epoch=False),
    fit_checkpoint=dict(type='FitCheckpointHook'),
    plan=dict(type='RunPlanHook'),
    invalid_loss=dict(type='StopOnInvalidLossHook'),
)
# For the user's own; those above stay whatever is set here.
custom_hooks = []
