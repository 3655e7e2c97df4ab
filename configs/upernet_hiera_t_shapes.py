# The segmentation quickstart: UPerNet with a small Hiera on the generated masks, from random weights, on a laptop's
# CPU. All values are ours. Against upernet_hiera_b_ade20k.py only what makes it quick differs: images of 128 pixels
# without jitter, a narrow backbone and decoder, plain batch norm, 8 images a batch and a short schedule at a higher
# rate.
_base_ = './upernet_hiera_b_ade20k.py'

data_root = 'data/masks/'
classes = ('background', 'circle', 'bar', 'triangle')
width = 64
image_size = (128, 128)

head = dict(dropout_ratio=0.0, norm_cfg=dict(type='BN', requires_grad=True), num_classes=len(classes), channels=width)
model = dict(
    data_preprocessor=dict(size=image_size),
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=32, num_heads=1, depths=(1, 1, 2, 1)),
        pos_embed='resized',
        drop_path_rate=0.0,
        init_cfg=None,
    ),
    decode_head=dict(**head, in_channels=[32, 64, 128, 256]),
    auxiliary_head=dict(**head, in_channels=128),
    test_cfg=dict(_delete_=True, mode='whole'),
)

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='RandomFlip', prob=[0.3, 0.3], direction=['horizontal', 'vertical']),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
dataset = dict(type='SegmentationDataset', data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path='images/train', seg_map_path='masks/train'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        **dataset,
        data_prefix=dict(img_path='images/val', seg_map_path='masks/val'),
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

max_iters = 2000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-3), paramwise_cfg=dict(layer_decay_rate=1.0), clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=40),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=40, end=max_iters, eta_min_ratio=0.01),
]
auto_scale_lr = dict(base_batch_size=8)
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=10), checkpoint=dict(interval=500, max_keep_ckpts=1))
log_processor = dict(window_size=10)
