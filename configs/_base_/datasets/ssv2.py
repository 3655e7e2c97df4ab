# Something-Something v2. Paper, table 12: RandAugment (7, 0.5). Read in PySlowFast and MViTv2: one frame from each of
# 16 equal segments (random in training, the middle in testing), no flip, since labels tell left from right, one clip a
# video, erasing at 0.25. Testing with 3 crops of one clip (table 6).
import os

_base_ = './kinetics400.py'

data_root = 'data/sthv2/'
train_ann_file = 'sthv2_train_list_videos.txt'
train_data_prefix = dict(video='videos')
val_ann_file = 'sthv2_val_list_videos.txt'
val_data_prefix = dict(video='videos')
test_ann_file = val_ann_file
test_data_prefix = val_data_prefix

clip_len = 16
train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'Flip']
train_pipeline[1] = dict(type='UniformSample', clip_len=clip_len, num_clips=1)
val_pipeline, test_pipeline = _base_.val_pipeline, _base_.test_pipeline
val_pipeline[1] = test_pipeline[1] = dict(type='UniformSample', clip_len=clip_len, num_clips=1, test_mode=True)

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
    collate_fn=dict(type='pseudo_collate'), dataset=dict(**train_files, num_repeats=1, pipeline=train_pipeline)
)
val_dataloader = dict(dataset=dict(**val_files, pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(**test_files, pipeline=test_pipeline))
