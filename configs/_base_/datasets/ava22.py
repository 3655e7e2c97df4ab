# AVA 2.2 in mmaction2's layout: extracted frames, 30 a second from second 900. Videos instead, without extracting:
# data_prefix = dict(_delete_=True, video='data/ava/videos_15min'), or whole films with timestamp_start=0.
# Paper: 16 frames of every fourth, centre crop in evaluation (appendix A.1). Read in PySlowFast: short side 256 to 320,
# random crop of 224, flip; the frame of the annotated second in the middle. SlowFast paper: detected persons above 0.8.
data_root = 'data/ava/'
frames = data_root + 'rawframes'
annotations = data_root + 'annotations/'
label_file = annotations + 'ava_action_list_v2.2_for_activitynet_2019.pbtxt'
proposals = annotations + 'ava_dense_proposals_{}.FAIR.recall_93.9.pkl'

train_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleAroundKeyFrame', clip_len=16, frame_interval=4),
    dict(type='ReadFrames'),
    dict(type='BoxesToPixels'),
    dict(type='RandomRescale', scale_range=(256, 320)),
    dict(type='RandomCrop', size=224),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='OpenVideo'),
    dict(type='SampleAroundKeyFrame', clip_len=16, frame_interval=4),
    dict(type='ReadFrames', short_side=224),
    dict(type='BoxesToPixels'),
    dict(type='Resize', scale=(-1, 224)),
    dict(type='CenterCrop', crop_size=224),
    dict(type='FormatShape', input_format='NCTHW', collapse=True),
    dict(type='PackActionInputs', meta_keys=('img_shape', 'img_key', 'video_id', 'timestamp', 'boxes_in_frame')),
]
# 8 clips a process: 16 processes make a batch of 128.
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='AVAClipDataset',
        ann_file=annotations + 'ava_train_v2.2.csv',
        exclude_file=annotations + 'ava_train_excluded_timestamps_v2.2.csv',
        label_file=label_file,
        proposal_file=proposals.format('train'),
        person_det_score_thr=0.8,
        data_prefix=dict(img=frames),
        pipeline=train_pipeline,
    ),
)
# One at a time: AVARoIHead predicts no more.
val_dataloader = dict(
    batch_size=1,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='AVAClipDataset',
        ann_file=annotations + 'ava_val_v2.2.csv',
        exclude_file=annotations + 'ava_val_excluded_timestamps_v2.2.csv',
        label_file=label_file,
        proposal_file=proposals.format('val'),
        # What is found where nobody is annotated counts, as in the official evaluation.
        idle_seconds=True,
        person_det_score_thr=0.8,
        data_prefix=dict(img=frames),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type='AVAMetric',
    ann_file=val_dataloader['dataset']['ann_file'],
    exclude_file=val_dataloader['dataset']['exclude_file'],
    label_file=label_file,
)
test_evaluator = val_evaluator
