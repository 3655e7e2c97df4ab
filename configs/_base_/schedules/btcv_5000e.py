# As in Swin UNETR's published code (Project-MONAI/research-contributions, SwinUNETR/BTCV): AdamW with rate 1e-4 and
# weight decay 1e-5, 5000 epochs of 24 volumes, 50 of warm-up, a cosine to 0, validated every 100. The paper of its
# pre-training (arXiv 2111.14791) trains in half precision: --amp.
_base_ = '../default_runtime_video.py'

epochs = 5000
learning_rate = 1e-4

# A run of another length keeps the places of all.
warm_up = max(1, min(50, round(0.05 * epochs)))
interval = max(1, round(epochs * 100 / 5000))
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=interval)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=learning_rate, weight_decay=1e-5, fused=True))
cosine = dict(
    type='CosineAnnealingLR',
    T_max=epochs - warm_up,
    eta_min=0.0,
    by_epoch=True,
    begin=warm_up,
    end=epochs,
    convert_to_iter_based=True,
)
# A run of one epoch is warm-up alone.
param_scheduler = [
    dict(type='WarmUpLR', start_factor=1e-3, by_epoch=True, begin=0, end=warm_up, convert_to_iter_based=True),
    *([cosine] if warm_up < epochs else []),
]
auto_scale_lr = dict(enable=False, base_batch_size=1)
# Beside the last three, the checkpoint with the best Dice is kept.
default_hooks = dict(
    checkpoint=dict(interval=interval, max_keep_ckpts=3, save_best='Dice', rule='greater'), logger=dict(interval=24)
)
