# Kinetics-600, as Kinetics-400.
_base_ = './kinetics400.py'

data_root = 'data/kinetics600/'
train_files = dict(
    ann_file=data_root + 'kinetics600_train_list_videos.txt', data_prefix=dict(video=data_root + 'videos_train')
)
val_files = dict(
    ann_file=data_root + 'kinetics600_val_list_videos.txt', data_prefix=dict(video=data_root + 'videos_val')
)
train_dataloader = dict(dataset=train_files)
val_dataloader = dict(dataset=val_files)
test_dataloader = dict(dataset=val_files)
