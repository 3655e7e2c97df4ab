# ImageNet-1K without labels: all images below data/imagenet/train. Paper, table 14: crops of 20 to 100 % of the area,
# flip. Read in the first author's training code: bicubic.
_base_ = './imagenet.py'

# Labelled images, one folder a class, by which features are judged while they are learned; None: not at all.
val_data_prefix = None

train_pipeline = [
    dict(type='ReadImage', **_base_.loaded),
    dict(
        type='TorchvisionTransform',
        name='RandomResizedCrop',
        size=_base_.image_size,
        scale=(0.2, 1.0),
        interpolation='bicubic',
    ),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs'),
]
# How hiera-mm predict prepares what it shows.
test_pipeline = _base_.test_pipeline
# 64 images a process: 64 processes make a batch of 4096.
train_dataloader = dict(dataset=dict(with_label=False, pipeline=train_pipeline))
labelled = dict(_base_.dataset, data_prefix=dict(img=val_data_prefix), pipeline=test_pipeline)
val_dataloader = val_data_prefix and dict(_delete_=True, **_base_.evaluated, dataset=labelled)
val_evaluator = val_data_prefix and dict(_delete_=True, type='FeatureMetric')
val_cfg = val_data_prefix and dict(type='ValLoop')
test_dataloader = test_evaluator = None
