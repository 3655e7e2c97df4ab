# The quickstart: Mask R-CNN with Hiera-T on the generated shapes, from random weights, on a laptop's CPU.
# All values are ours. Against mask_rcnn_hiera_t.py only what makes it quick differs: images of 128 pixels without
# jitter, which need no windows and one position table, anchors to match, narrow neck and heads, 4 images a batch and a
# short schedule at a higher rate.
import os

_base_ = './mask_rcnn_hiera_t.py'

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
batch_size = 4
num_workers = 1
max_iters = 450
learning_rate = 6e-4

width = 64
padded_side = -(-max(image_size) // 32) * 32

weights = None
model = dict(
    data_preprocessor=dict(pad_size_divisor=padded_side),
    backbone=dict(
        window_sizes=None,
        global_blocks=(),
        pos_embed='resized',
        drop_path_rate=0.0,
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
    ),
    neck=dict(out_channels=width),
    rpn_head=dict(in_channels=width, feat_channels=width, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=width),
        bbox_head=dict(in_channels=width, conv_out_channels=width, fc_out_channels=4 * width, num_classes=num_classes),
        mask_roi_extractor=dict(out_channels=width),
        mask_head=dict(in_channels=width, conv_out_channels=width, num_classes=num_classes),
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=200), rcnn=dict(sampler=dict(num=64, pos_fraction=0.5))),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100)),
)

train_pipeline = [
    dict(type='LoadImageFromFile', **_base_.loaded),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='RandomFlip', prob=[0.3, 0.3], direction=['horizontal', 'vertical']),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', **_base_.loaded),
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

# A run of another length keeps the places of all; it has at most 20 validations, an epoch or more apart.
of_recipe = max_iters == 450
val_interval = max_iters if of_recipe else min(max_iters, max(_base_.epoch_length, -(-max_iters // 20)))
train_cfg = dict(max_iters=max_iters, val_interval=val_interval, dynamic_intervals=None)
optim_wrapper = dict(optimizer=dict(lr=learning_rate, weight_decay=0.05), clip_grad=dict(max_norm=5.0))
warm_up = max(1, round(max_iters * 40 / 450))
cosine = dict(type='CosineAnnealingLR', by_epoch=False, begin=warm_up, end=max_iters, eta_min_ratio=0.01)
param_scheduler = [
    dict(type='WarmUpLR', start_factor=0.01, by_epoch=False, begin=0, end=warm_up),
    *([cosine] if warm_up < max_iters else []),
]
auto_scale_lr = dict(base_batch_size=4)
randomness = dict(seed=0)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(interval=150 if of_recipe else val_interval, max_keep_ckpts=1),
    visualization=dict(score_thr=0.5),
)
log_processor = dict(window_size=10)
