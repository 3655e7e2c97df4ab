# What Hiera needs under mmdet's Mask2Former, whose configs of instances and of things and stuff are two. Inferred, as
# nobody has published Hiera under it: one LayerNorm on each map and absolute-win positions, as in this suite's Mask
# R-CNN; no weight decay of the backbone's norms and position tables, as mmdet has it for Swin.
_base_ = './models/channels.py'

hiera = dict(_delete_=True, type='Hiera', in_channels=_base_.in_channels, pos_embed='absolute_win', out_norm=True)
backbone_undecayed = dict(lr_mult=0.1, decay_mult=0.0)
most_blocks = 48
backbone_keys = {
    'backbone.pos_embed': backbone_undecayed,
    'backbone.out_norms': backbone_undecayed,
    **{f'backbone.blocks.{number}.norm': backbone_undecayed for number in range(most_blocks)},
}

custom_imports = dict(imports=['hiera_mm'], allow_failed_imports=False)
hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    fit_checkpoint=dict(type='FitCheckpointHook'),
    plan=dict(type='RunPlanHook'),
    invalid_loss=dict(type='StopOnInvalidLossHook'),
)
# For the user's own; those above stay whatever is set here.
custom_hooks = []
