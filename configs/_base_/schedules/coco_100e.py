# 100 epochs of COCO at batch 64 (paper, table 15: AdamW, betas 0.9 and 0.999, weight decay 0.1, step schedule):
# 100 x 118,000 / 64 = 184,375 iterations. Inferred from detectron2's ViTDet config, whose recipe the paper follows:
# the milestones (88.9 and 96.3 epochs), 250 iterations of warm-up from 0.001, no decay of norms and position table.
# The paper used no layer-wise decay here (appendix A.2) and ViTDet's mixed precision, which is --amp here.
# For k accumulated batches multiply all iterations by k, as mmengine counts the forward ones.
_base_ = '../default_runtime.py'

max_iters = 184375
# Iterations of an epoch: hiera-mm train counts them where the length is not the recipe's.
epoch_length = 1
learning_rate = 3.5e-5

# A run of another length keeps the places of all; it has at most 20 validations, an epoch or more apart.
of_recipe = max_iters == 184375
val_interval = 5000 if of_recipe else min(max_iters, max(epoch_length, -(-max_iters // 20)))
train_cfg = dict(
    type='IterBasedTrainLoop',
    max_iters=max_iters,
    val_interval=val_interval,
    dynamic_intervals=[(180001, max_iters)] if of_recipe else None,
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=learning_rate, betas=(0.9, 0.999), weight_decay=0.1, fused=True),
    constructor='GroupedOptimWrapperConstructor',
    paramwise_cfg=dict(norm_decay_mult=0.0, custom_keys={'pos_embed': dict(decay_mult=0.0)}),
)
warm_up = max(1, min(250, round(0.05 * max_iters)))
milestones = [max(1, round(max_iters * place / 184375)) for place in (163889, 177546)]
param_scheduler = [
    dict(type='WarmUpLR', start_factor=0.001, by_epoch=False, begin=0, end=warm_up),
    dict(type='MultiStepLR', by_epoch=False, begin=0, end=max_iters, milestones=milestones, gamma=0.1),
]
auto_scale_lr = dict(enable=False, base_batch_size=64)

# Beside the last three, the checkpoint with the best box AP is kept. A validation is logged with its iteration;
# mmengine's default would name them all epoch 0.
default_hooks = dict(
    checkpoint=dict(by_epoch=False, interval=val_interval, max_keep_ckpts=3, save_best='coco/bbox_mAP'),
    logger=dict(log_metric_by_epoch=False),
)
log_processor = dict(by_epoch=False)
