# Something-Something v2, its labels unused. Paper, table 12: crops of 50 to 100 % of the area, no flip. One frame from
# each of 16 equal segments, as in fine-tuning. Repeated sampling is not listed there; 4 is Kinetics' (ours).
import os

_base_ = './kinetics400_mae.py'

data_root = 'data/sthv2/'
train_ann_file = 'sthv2_train_list_videos.txt'
train_data_prefix = dict(video='videos')
val_ann_file = None
val_data_prefix = dict(video='videos')

train_pipeline = [step for step in _base_.train_pipeline if step['type'] != 'Flip']
train_pipeline[1] = dict(type='UniformSample', clip_len=16, num_clips=1)
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='UniformSample', clip_len=16, num_clips=1, test_mode=True)
train_dataloader = dict(
    dataset=dict(
        ann_file=os.path.join(data_root, train_ann_file),
        data_prefix={kind: os.path.join(data_root, folder) for kind, folder in train_data_prefix.items()},
        pipeline=train_pipeline,
    )
)
val_dataloader = val_ann_file and dict(
    dataset=dict(
        ann_file=os.path.join(data_root, val_ann_file),
        data_prefix={kind: os.path.join(data_root, folder) for kind, folder in val_data_prefix.items()},
        pipeline=test_pipeline,
    ),
)
