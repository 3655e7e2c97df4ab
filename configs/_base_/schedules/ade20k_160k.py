# 160,000 iterations at batch 16 (SegFormer, section 4.1; the same in BEiT, MAE and Swin): warm-up of 1500 iterations
# and a linear fall to 0 ("poly" of power 1). Inferred, as nobody published Hiera on ADE20K: AdamW with rate 1e-4 and
# weight decay 0.05 (MAE on ADE20K), layer-wise decay 0.85 (BEiT's and MAE's are 0.65 to 0.95), no weight decay of
# biases, norms and position tables, gradient norms up to 1.
_base_ = '../default_runtime_segmentation.py'

max_iters = 160000
# Iterations of an epoch: hiera-mm train counts them where the length is not the recipe's.
epoch_length = 1
learning_rate = 1e-4

# A run of another length keeps the places of all; it has at most 20 validations, an epoch or more apart.
val_interval = 16000 if max_iters == 160000 else min(max_iters, max(epoch_length, -(-max_iters // 20)))
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)

optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=learning_rate, betas=(0.9, 0.999), weight_decay=0.05, fused=True),
    constructor='DepthLayerDecayConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.85),
    clip_grad=dict(max_norm=1.0),
)
warm_up = max(1, min(1500, round(0.05 * max_iters)))
fall = dict(type='PolyLR', eta_min=0.0, power=1.0, by_epoch=False, begin=warm_up, end=max_iters)
param_scheduler = [
    dict(type='WarmUpLR', start_factor=1e-6, by_epoch=False, begin=0, end=warm_up),
    *([fall] if warm_up < max_iters else []),
]
auto_scale_lr = dict(enable=False, base_batch_size=16)

# Beside the last three, the checkpoint with the best mIoU is kept.
default_hooks = dict(
    checkpoint=dict(interval=val_interval, max_keep_ckpts=3, save_best='mIoU'),
)
