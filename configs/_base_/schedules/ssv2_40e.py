# Something-Something v2 fine-tuning (paper, table 12): SGD, weight decay 1e-4, 40 epochs, 3 of warm-up, cosine, layer
# decay 0.875, batch 256. Read in PySlowFast: Nesterov momentum 0.9. No clipping is listed.
_base_ = '../default_runtime_video.py'

global_batch = 256
epochs, warm_up = 40, 3
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_begin=1, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.16, momentum=0.9, nesterov=True, weight_decay=1e-4),
    constructor='DepthLayerDecayConstructor',
    paramwise_cfg=dict(layer_decay_rate=0.875),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=True, begin=0, end=warm_up, convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=epochs - warm_up,
        eta_min=0.0,
        by_epoch=True,
        begin=warm_up,
        end=epochs,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(enable=False, base_batch_size=global_batch)
default_hooks = dict(checkpoint=dict(interval=1, max_keep_ckpts=3), logger=dict(interval=100))
