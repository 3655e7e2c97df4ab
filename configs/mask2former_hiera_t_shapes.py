# Mask2Former with a small Hiera on the generated shapes, from random weights, on a laptop's CPU. All values are ours.
# Against mask2former_hiera_t_coco.py only what makes it quick differs: images of 128 pixels without jitter, a narrow
# backbone and head of few layers and queries, 8 images a batch and a short schedule at a higher rate.
import os

_base_ = './mask2former_hiera_t_coco.py'

data_root = 'data/shapes/'
train_ann_file = 'annotations/instances_train.json'
train_data_prefix = dict(img='train/')
val_ann_file = 'annotations/instances_val.json'
val_data_prefix = dict(img='val/')
test_ann_file = val_ann_file
test_data_prefix = val_data_prefix
classes = ('circle', 'bar', 'triangle')
num_classes = len(classes)
image_size = (128, 128)
batch_size = 8
num_workers = 1
max_iters = 2000
learning_rate = 1e-3

width = 64

attention = dict(embed_dims=width, num_heads=4)
padding = dict(
    type='BatchFixedSizePad', size=image_size[::-1], img_pad_value=0, pad_mask=True, mask_pad_value=0, pad_seg=False
)
weights = None
model = dict(
    data_preprocessor=dict(batch_augments=[padding]),
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=32, num_heads=1, depths=(1, 1, 2, 1)),
        window_sizes=None,
        global_blocks=(),
        pos_embed='resized',
        drop_path_rate=0.0,
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
    ),
    panoptic_head=dict(
        in_channels=[32, 64, 128, 256],
        feat_channels=width,
        out_channels=width,
        num_queries=20,
        num_things_classes=num_classes,
        pixel_decoder=dict(
            encoder=dict(
                num_layers=2,
                layer_cfg=dict(self_attn_cfg=attention, ffn_cfg=dict(embed_dims=width, feedforward_channels=2 * width)),
            ),
            positional_encoding=dict(num_feats=width // 2),
        ),
        positional_encoding=dict(num_feats=width // 2),
        transformer_decoder=dict(
            num_layers=3,
            layer_cfg=dict(
                self_attn_cfg=attention,
                cross_attn_cfg=attention,
                ffn_cfg=dict(embed_dims=width, feedforward_channels=2 * width),
            ),
        ),
        loss_cls=dict(class_weight=[1.0] * num_classes + [0.1]),
    ),
    panoptic_fusion_head=dict(num_things_classes=num_classes),
    train_cfg=dict(num_points=2048),
    test_cfg=dict(max_per_image=20),
)

train_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True, **_base_.loaded),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='RandomFlip', prob=[0.3, 0.3], direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', to_float32=True, **_base_.loaded),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
dataset = dict(data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    dataset=dict(**dataset, ann_file=train_ann_file, data_prefix=train_data_prefix, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(**dataset, ann_file=val_ann_file, data_prefix=val_data_prefix, pipeline=test_pipeline),
)
test_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(**dataset, ann_file=test_ann_file, data_prefix=test_data_prefix, pipeline=test_pipeline),
)
val_evaluator = dict(ann_file=os.path.join(data_root, val_ann_file))
test_evaluator = dict(ann_file=os.path.join(data_root, test_ann_file))

undecayed = dict(decay_mult=0.0)
# A run of another length keeps the places of all; it has at most 20 validations, an epoch or more apart.
of_recipe = max_iters == 2000
val_interval = max_iters if of_recipe else min(max_iters, max(_base_.epoch_length, -(-max_iters // 20)))
train_cfg = dict(max_iters=max_iters, val_interval=val_interval, dynamic_intervals=None)
optim_wrapper = dict(
    optimizer=dict(lr=learning_rate),
    paramwise_cfg=dict(
        custom_keys=dict(
            _delete_=True, pos_embed=undecayed, query_embed=undecayed, query_feat=undecayed, level_embed=undecayed
        )
    ),
    clip_grad=dict(max_norm=1.0),
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
