# Kinetics-700, as Kinetics-400.
import os

_base_ = './kinetics400.py'

data_root = 'data/kinetics700/'
train_ann_file = 'kinetics700_train_list_videos.txt'
train_data_prefix = dict(video='videos_train')
val_ann_file = 'kinetics700_val_list_videos.txt'
val_data_prefix = dict(video='videos_val')
test_ann_file = val_ann_file
test_data_prefix = val_data_prefix

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
train_dataloader = dict(dataset=train_files)
val_dataloader = dict(dataset=val_files)
test_dataloader = dict(dataset=test_files)
