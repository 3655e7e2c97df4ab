# Masked autoencoding on ImageNet-1K (paper, table 14): AdamW at 8e-4, betas 0.9 and 0.95, weight decay 0.05, cosine, 40
# epochs of warm-up, batch 4096, 1600 epochs (the paper also has 400). Read in the first author's training code: the
# cosine ends at 0. Ours: tokens and tables take no weight decay; PySlowFast's norms and biases neither.
_base_ = '../default_runtime_video.py'

global_batch = 4096
# None: random. Of an autoencoder, the decoder's too.
weights = None
epochs = 1600
learning_rate = 8e-4

load_from = weights
# A run of another length keeps the places of all.
warm_up = max(1, min(40, round(0.05 * epochs)))
# Where there are labelled images, their features are judged 20 times in a run.
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=max(1, epochs // 20))

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=learning_rate, betas=(0.9, 0.95), weight_decay=0.05, fused=True),
    constructor='GroupedOptimWrapperConstructor',
    paramwise_cfg=dict(
        flat_decay_mult=0.0,
        bias_decay_mult=0.0,
        norm_decay_mult=0.0,
        custom_keys={'pos_embed': dict(decay_mult=0.0), 'mask_token': dict(decay_mult=0.0)},
    ),
)
cosine = dict(
    type='CosineAnnealingLR',
    T_max=epochs - warm_up,
    eta_min_ratio=0.0,
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
default_hooks = dict(
    checkpoint=dict(interval=max(1, round(epochs * 20 / 1600)), max_keep_ckpts=3, save_best=None),
    logger=dict(interval=100),
)
