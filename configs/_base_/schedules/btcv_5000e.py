# As in Swin UNETR's published code (Project-MONAI/research-contributions, SwinUNETR/BTCV): AdamW with rate 1e-4 and
# weight decay 1e-5, 5000 epochs of 24 volumes, 50 of warm-up, a cosine to 0, validated every 100. The paper of its
# pre-training (arXiv 2111.14791) trains in half precision: --amp.
_base_ = '../default_runtime_video.py'

epochs, warm_up = 5000, 50
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs, val_interval=100)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-5, fused=True))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, begin=0, end=warm_up, convert_to_iter_based=True),
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
auto_scale_lr = dict(enable=False, base_batch_size=1)
# Beside the last three, the checkpoint with the best Dice is kept.
default_hooks = dict(
    checkpoint=dict(interval=100, max_keep_ckpts=3, save_best='Dice', rule='greater'), logger=dict(interval=24)
)
