# The segmentation quickstart: UPerNet with a small Hiera on the generated masks, from random weights, on a laptop's
# CPU. All values are ours. Against upernet_hiera_b_ade20k.py only what makes it quick differs: images of 128 pixels
# without jitter, a narrow backbone and decoder, plain batch norm, 8 images a batch and a short schedule at a higher
# rate.
_base_ = './upernet_hiera_b_ade20k.py'

data_root = 'data/masks/'
train_data_prefix = dict(img_path='images/train', seg_map_path='masks/train')
val_data_prefix = dict(img_path='images/val', seg_map_path='masks/val')
test_data_prefix = val_data_prefix
classes = ('background', 'circle', 'bar', 'triangle')
num_classes = len(classes)
image_size = (128, 128)
batch_size = 8
num_workers = 1
max_iters = 2000
learning_rate = 1e-3

width = 64

head = dict(dropout_ratio=0.0, norm_cfg=dict(type='BN', requires_grad=True), num_classes=num_classes, channels=width)
weights = None
model = dict(
    data_preprocessor=dict(size=image_size[::-1]),
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=32, num_heads=1, depths=(1, 1, 2, 1)),
        pos_embed='resized',
        drop_path_rate=0.0,
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
    ),
    decode_head=dict(**head, in_channels=[32, 64, 128, 256]),
    auxiliary_head=dict(**head, in_channels=128),
    test_cfg=dict(_delete_=True, mode='whole'),
)

train_pipeline = [
    dict(type='LoadImageFromFile', **_base_.loaded),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='RandomFlip', prob=[0.3, 0.3], direction=['horizontal', 'vertical']),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', **_base_.loaded),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
dataset = dict(_base_.own_dataset, data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    dataset=dict(
        **dataset,
        data_prefix=train_data_prefix,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(
        **dataset,
        data_prefix=val_data_prefix,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    num_workers=num_workers, dataset=dict(**dataset, data_prefix=test_data_prefix, pipeline=test_pipeline)
)

# A run of another length keeps the places of all; it has at most 20 validations, an epoch or more apart.
of_recipe = max_iters == 2000
val_interval = max_iters if of_recipe else min(max_iters, max(_base_.epoch_length, -(-max_iters // 20)))
train_cfg = dict(max_iters=max_iters, val_interval=val_interval)
optim_wrapper = dict(
    optimizer=dict(lr=learning_rate), paramwise_cfg=dict(layer_decay_rate=1.0), clip_grad=dict(max_norm=5.0)
)
warm_up = max(1, min(40, round(0.05 * max_iters)))
cosine = dict(type='CosineAnnealingLR', by_epoch=False, begin=warm_up, end=max_iters, eta_min_ratio=0.01)
param_scheduler = [
    dict(type='WarmUpLR', start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
    *([cosine] if warm_up < max_iters else []),
]
auto_scale_lr = dict(base_batch_size=8)
randomness = dict(seed=0)
default_hooks = dict(
    logger=dict(interval=10), checkpoint=dict(interval=500 if of_recipe else val_interval, max_keep_ckpts=1)
)
log_processor = dict(window_size=10)
