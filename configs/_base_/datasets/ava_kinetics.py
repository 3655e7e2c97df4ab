# AVA-Kinetics in mmaction2's layout, whose merge_annotations.py puts the Kinetics clips' lines and proposals into the
# training files of AVA 2.2; evaluated on AVA. The rest is as in ava22.py.
import os

_base_ = './ava22.py'

data_root = 'data/ava_kinetics/'
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
train_dataloader = dict(dataset=dict(type='AVAKineticsClipDataset', **train_files))
val_dataloader = dict(dataset=val_files)
test_dataloader = dict(dataset=test_files)
val_evaluator = val_scored
test_evaluator = test_scored
