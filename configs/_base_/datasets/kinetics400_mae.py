# Kinetics-400 videos, their labels unused. Paper, table 11: repeated sampling 4, crops of 50 to 100 % of the area,
# flip. Read in PySlowFast: aspects of 3/4 to 4/3, no other augmentation.
_base_ = './kinetics400.py'

# A list of labelled clips by which features are judged while they are learned; None: not at all.
val_ann_file = None

train_pipeline = [
    *_base_.train_pipeline[:3],
    dict(type='RandomResizedCrop', area_range=(0.5, 1.0), aspect_ratio_range=(3 / 4, 4 / 3)),
    dict(type='Resize', scale=(_base_.image_size, _base_.image_size), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    *_base_.train_pipeline[-2:],
]
# How hiera-mm predict prepares what it shows.
test_pipeline = _base_.val_pipeline
# 8 videos of 4 clips a process: 64 processes make a batch of 512 videos.
train_dataloader = dict(dataset=dict(num_repeats=4, pipeline=train_pipeline))
val_dataloader = val_ann_file and dict(dataset=dict(pipeline=test_pipeline))
val_evaluator = val_ann_file and dict(_delete_=True, type='FeatureMetric')
val_cfg = val_ann_file and dict(type='ValLoop')
test_dataloader = test_evaluator = None
