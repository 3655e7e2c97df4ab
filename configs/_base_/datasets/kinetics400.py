# Kinetics-400 videos in mmaction2's lists. Paper, table 11: 16 frames of every fourth, repeated augmentation 2,
# RandAugment (7, 0.5); testing with 3 crops of 5 clips (table 4).
# Read in PySlowFast: short side 320 before the crops, area 0.08 to 1, flip, erasing with noise at 0.25, and their
# order; frames counted at 30 a second whatever the video's own rate is; a video shorter than a clip repeats its last
# frame.
import os

data_root = 'data/kinetics400/'
train_ann_file = 'kinetics400_train_list_videos.txt'
train_data_prefix = dict(video='videos_train')
val_ann_file = 'kinetics400_val_list_videos.txt'
val_data_prefix = dict(video='videos_val')
test_ann_file = val_ann_file
test_data_prefix = val_data_prefix
# None: those beside the lists.
classes = None
image_size = 224
# 8 videos of 2 clips a process: 32 processes make a batch of 256 videos.
batch_size = 8
num_workers = 8

short_side = image_size * 320 // 224
train_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleFramesByTime', clip_len=16, frame_interval=4),
    dict(type='ReadFrames', short_side=short_side),
    dict(type='Resize', scale=(-1, short_side)),
    dict(type='ClipRandAugment', magnitude=7, magnitude_std=0.5, num_layers=2),
    dict(type='RandomResizedCrop', area_range=(0.08, 1.0), aspect_ratio_range=(3 / 4, 4 / 3)),
    dict(type='Resize', scale=(image_size, image_size), keep_ratio=False),
    dict(type='Flip', flip_ratio=0.5),
    # Normalised, this is noise of mean 0 and deviation 1.
    dict(type='RandomErasing', erase_prob=0.25, mode='rand', fill_color=[114.75] * 3, fill_std=[57.375] * 3),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
val_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleFramesByTime', clip_len=16, frame_interval=4, num_clips=1, test_mode=True),
    dict(type='ReadFrames', short_side=image_size),
    dict(type='Resize', scale=(-1, image_size)),
    dict(type='CenterCrop', crop_size=image_size),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleFramesByTime', clip_len=16, frame_interval=4, num_clips=5, test_mode=True),
    dict(type='ReadFrames', short_side=image_size),
    dict(type='Resize', scale=(-1, image_size)),
    dict(type='ThreeCrop', crop_size=image_size),
    dict(type='FormatShape', input_format='NCTHW'),
    dict(type='PackActionInputs'),
]
dataset = dict(type='ClipDataset', **(dict(metainfo=dict(classes=classes)) if classes else {}))
train_files = dict(
    ann_file=os.path.join(data_root, train_ann_file),
    data_prefix={kind: os.path.join(data_root, folder) for kind, folder in train_data_prefix.items()},
)
val_files = dict(
    ann_file=os.path.join(data_root, val_ann_file),
    data_prefix={kind: os.path.join(data_root, folder) for kind, folder in val_data_prefix.items()},
)
test_files = dict(
    ann_file=os.path.join(data_root, test_ann_file),
    data_prefix={kind: os.path.join(data_root, folder) for kind, folder in test_data_prefix.items()},
)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='repeat_pseudo_collate'),
    dataset=dict(
        **dataset,
        **train_files,
        num_repeats=2,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        **val_files,
        pipeline=val_pipeline,
        test_mode=True,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        **dataset,
        **test_files,
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
# That the right class is among the first 5 says nothing of so few.
few = classes and len(classes) <= 5
val_evaluator = dict(type='AccMetric', **(dict(metric_options=dict(top_k_accuracy=dict(topk=(1,)))) if few else {}))
test_evaluator = val_evaluator
