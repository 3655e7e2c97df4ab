# COCO 2017 boxes with large-scale jitter: as coco_instance_lsj.py, whose values are explained there, without masks.
# Without a mask to follow, a box is cut at the edges of the crop.
_base_ = './coco_instance_lsj.py'

boxes = dict(type='LoadAnnotations', with_bbox=True)
train_pipeline = [_base_.train_pipeline[0], boxes, *_base_.train_pipeline[2:4]]
train_pipeline += [
    dict(type='RandomCrop', crop_type='absolute', crop_size=_base_.image_size, allow_negative_crop=True),
    *_base_.train_pipeline[5:],
]
test_pipeline = [*_base_.test_pipeline[:2], boxes, _base_.test_pipeline[3]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = dict(metric='bbox')
test_evaluator = dict(metric='bbox')
