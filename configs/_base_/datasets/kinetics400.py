# Kinetics-400 videos in mmaction2's lists. Paper, table 11: 16 frames of every fourth, repeated augmentation 2,
# RandAugment (7, 0.5); testing with 3 crops of 5 clips (table 4).
# Read in PySlowFast: short side 320 before the crops, area 0.08 to 1, flip, erasing with noise at 0.25, and their
# order; frames counted at 30 a second whatever the video's own rate is; a video shorter than a clip repeats its last
# frame.
data_root = 'data/kinetics400/'
train_list, val_list = 'kinetics400_train_list_videos.txt', 'kinetics400_val_list_videos.txt'

train_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleFramesByTime', clip_len=16, frame_interval=4),
    dict(type='ReadFrames', short_side=320),
    dict(type='Resize', scale=(-1, 320)),
    dict(type='ClipRandAugment', magnitude=7, magnitude_std=0.5, num_layers=2),
    dict(type='RandomResizedCrop', area_range=(0.08, 1.0), aspect_ratio_range=(3 / 4, 4 / 3)),
    dict(type='Resize', scale=(224, 224), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    # Normalised, this is noise of mean 0 and deviation 1.
    dict(type='RandomErasing', erase_prob=0.25, mode='rand', fill_color=[114.75] * 3, fill_std=[57.375] * 3),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
val_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleFramesByTime', clip_len=16, frame_interval=4, num_clips=1, test_mode=True),
    dict(type='ReadFrames', short_side=224),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleFramesByTime', clip_len=16, frame_interval=4, num_clips=5, test_mode=True),
    dict(type='ReadFrames', short_side=224),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='ThreeCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
# 8 videos of 2 clips a process: 32 processes make a batch of 256 videos.
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='repeat_pseudo_collate'),
    dataset=dict(
        type='ClipDataset',
        ann_file=data_root + train_list,
        data_prefix=dict(video=data_root + 'videos_train'),
        num_repeats=2,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ClipDataset',
        ann_file=data_root + val_list,
        data_prefix=dict(video=data_root + 'videos_val'),
        pipeline=val_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ClipDataset',
        ann_file=data_root + val_list,
        data_prefix=dict(video=data_root + 'videos_val'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
val_evaluator = dict(type='AccMetric')
test_evaluator = val_evaluator
