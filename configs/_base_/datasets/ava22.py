# AVA 2.2 in mmaction2's layout: extracted frames, 30 a second from second 900. Videos instead, without extracting:
# train_data_prefix and val_data_prefix = dict(_delete_=True, video='videos_15min'); whole films: timestamp_start=0.
# Paper: 16 frames of every fourth, centre crop in evaluation (appendix A.1). Read in PySlowFast: short side 256 to 320,
# random crop of 224, flip; the frame of the annotated second in the middle. SlowFast paper: detected persons above 0.8.
import os

data_root = 'data/ava/'
label_file = 'annotations/ava_action_list_v2.2_for_activitynet_2019.pbtxt'
train_ann_file = 'annotations/ava_train_v2.2.csv'
train_exclude_file = 'annotations/ava_train_excluded_timestamps_v2.2.csv'
train_proposal_file = 'annotations/ava_dense_proposals_train.FAIR.recall_93.9.pkl'
train_data_prefix = dict(img='rawframes')
val_ann_file = 'annotations/ava_val_v2.2.csv'
val_exclude_file = 'annotations/ava_val_excluded_timestamps_v2.2.csv'
val_proposal_file = 'annotations/ava_dense_proposals_val.FAIR.recall_93.9.pkl'
val_data_prefix = dict(img='rawframes')
test_ann_file = val_ann_file
test_exclude_file = val_exclude_file
test_proposal_file = val_proposal_file
test_data_prefix = val_data_prefix
# AVA's 80 actions, numbered from 1.
num_classes = 81
image_size = 224
# Second of the film at which frames and videos begin: 0 for whole films.
timestamp_start = 900
# 8 clips a process: 16 processes make a batch of 128.
batch_size = 8
num_workers = 8

# Of the box head; recall among more actions than there are is an error in mmaction2.
counted = dict(num_classes=num_classes, topk=tuple(number for number in (3, 5) if number < num_classes))
train_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleAroundKeyFrame', clip_len=16, frame_interval=4),
    dict(type='ReadFrames'),
    dict(type='BoxesToPixels'),
    dict(type='RandomRescale', scale_range=(image_size * 256 // 224, image_size * 320 // 224)),
    dict(type='RandomCrop', size=image_size),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleAroundKeyFrame', clip_len=16, frame_interval=4),
    dict(type='ReadFrames', short_side=image_size),
    dict(type='BoxesToPixels'),
    dict(type='Resize', scale=(-1, image_size)),
    dict(type='CenterCrop', crop_size=image_size),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=('img_shape', 'img_key', 'video_id', 'timestamp', 'boxes_in_frame')),
]
labels = dict(label_file=label_file and os.path.join(data_root, label_file))
train_files, val_files, test_files = (
    dict(
        **labels,
        ann_file=os.path.join(data_root, ann_file),
        exclude_file=exclude_file and os.path.join(data_root, exclude_file),
        proposal_file=proposal_file and os.path.join(data_root, proposal_file),
        data_prefix={kind: os.path.join(data_root, folder) for kind, folder in data_prefix.items()},
    )
    for ann_file, exclude_file, proposal_file, data_prefix in (
        (train_ann_file, train_exclude_file, train_proposal_file, train_data_prefix),
        (val_ann_file, val_exclude_file, val_proposal_file, val_data_prefix),
        (test_ann_file, test_exclude_file, test_proposal_file, test_data_prefix),
    )
)
val_scored, test_scored = (
    {key: files[key] for key in ('label_file', 'ann_file', 'exclude_file')} for files in (val_files, test_files)
)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='AVAClipDataset',
        **train_files,
        num_classes=num_classes,
        timestamp_start=timestamp_start,
        person_det_score_thr=0.8,
        pipeline=train_pipeline,
    ),
)
# One at a time: AVARoIHead predicts no more.
one_by_one = dict(
    batch_size=1,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
)
scored = dict(
    type='AVAClipDataset',
    num_classes=num_classes,
    timestamp_start=timestamp_start,
    # What is found where nobody is annotated counts, as in the official evaluation.
    idle_seconds=True,
    person_det_score_thr=0.8,
    pipeline=test_pipeline,
    test_mode=True,
)
val_dataloader = dict(**one_by_one, dataset=dict(**scored, **val_files))
test_dataloader = dict(**one_by_one, dataset=dict(**scored, **test_files))
val_evaluator = dict(type='AVAMetric', **val_scored, num_classes=num_classes)
test_evaluator = dict(type='AVAMetric', **test_scored, num_classes=num_classes)
