# Kinetics fine-tuning (paper, table 11): AdamW, betas 0.9 and 0.999, weight decay 0.05, cosine, gradient norms up to 5,
# batch 256. Its 100 epochs with 10 of warm-up count each of 2 repeats: 50 passes over the list with 5 of warm-up.
# Read in PySlowFast and MAE's video code: no decay of biases and norms. Ours: the last learning rate, 1/100.
# Whether 256 counts videos (as here) or clips is not said; global_batch is the one place to change it.
_base_ = '../default_runtime_video.py'

global_batch = 256
epochs = 50
learning_rate = 8e-4

# A run of another length keeps the places of all.
warm_up = max(1, round(epochs * 5 / 50))
interval = max(1, round(epochs / 50))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_begin=interval, val_interval=interval)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=learning_rate, betas=(0.9, 0.999), weight_decay=0.05, fused=True),
    constructor='DepthLayerDecayConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.875),
    clip_grad=dict(max_norm=5.0),
)
cosine = dict(
    type='CosineAnnealingLR',
    T_max=epochs - warm_up,
    eta_min_ratio=0.01,
    by_epoch=True,
    begin=warm_up,
    end=epochs,
    convert_to_iter_based=True,
)
# A run of one epoch is warm-up alone.
param_scheduler = [
    dict(type='WarmUpLR', start_factor=0.001, by_epoch=True, begin=0, end=warm_up, convert_to_iter_based=True),
    *([cosine] if warm_up < epochs else []),
]
auto_scale_lr = dict(enable=False, base_batch_size=global_batch)
default_hooks = dict(checkpoint=dict(interval=interval, max_keep_ckpts=3), logger=dict(interval=100))
