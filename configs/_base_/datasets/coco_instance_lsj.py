# COCO 2017 instances with large-scale jitter, 1024 x 1024, scale 0.1 to 2.0 (paper, table 15 and appendix A.2);
# order of the steps and the test size as detectron2's projects/ViTDet/configs/common/coco_loader_lsj.py.
# Padding to 1024 x 1024 is the model's data preprocessor's, with zeros, in training and testing.
import os

_base_ = ['mmdet::_base_/datasets/coco_instance.py', './channels.py']

data_root = 'data/coco/'
train_ann_file = 'annotations/instances_train2017.json'
train_data_prefix = dict(img='train2017/')
val_ann_file = 'annotations/instances_val2017.json'
val_data_prefix = dict(img='val2017/')
test_ann_file = val_ann_file
test_data_prefix = val_data_prefix
# None: COCO's 80, which the data set knows.
classes = None
image_size = (1024, 1024)
# 4 images a process: 16 processes make the paper's batch of 64. --auto-scale-lr fits the rate to any other.
batch_size = 4
num_workers = 4

backend_args = None
train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args, **_base_.loaded),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='RandomResize', scale=image_size, ratio_range=(0.1, 2.0), keep_ratio=True),
    dict(
        type='RandomCrop',
        crop_type='absolute',
        crop_size=image_size,
        recompute_bbox=True,
        allow_negative_crop=True,
    ),
    dict(type='FilterAnnotations', min_gt_bbox_wh=(1e-2, 1e-2)),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=backend_args, **_base_.loaded),
    dict(type='Resize', scale=image_size, keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
# The model's padding: the longer side, in whole mask units.
padded_side = -(-max(image_size) // 32) * 32

dataset = dict(data_root=data_root, **(dict(metainfo=dict(classes=classes)) if classes else {}))
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    batch_sampler=None,
    dataset=dict(**dataset, ann_file=train_ann_file, data_prefix=train_data_prefix, pipeline=train_pipeline),
)
val_dataloader = dict(
    dataset=dict(**dataset, ann_file=val_ann_file, data_prefix=val_data_prefix, pipeline=test_pipeline)
)
test_dataloader = dict(
    dataset=dict(**dataset, ann_file=test_ann_file, data_prefix=test_data_prefix, pipeline=test_pipeline)
)
val_evaluator = dict(ann_file=os.path.join(data_root, val_ann_file))
test_evaluator = dict(ann_file=os.path.join(data_root, test_ann_file))
