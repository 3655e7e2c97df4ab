# AVA-Kinetics in mmaction2's layout, whose merge_annotations.py puts the Kinetics clips' lines and proposals into the
# training files of AVA 2.2; evaluated on AVA. The rest is as in ava22.py.
_base_ = './ava22.py'

data_root = 'data/ava_kinetics/'
frames = data_root + 'rawframes'
annotations = data_root + 'annotations/'
label_file = annotations + 'ava_action_list_v2.2_for_activitynet_2019.pbtxt'
proposals = annotations + 'ava_dense_proposals_{}.FAIR.recall_93.9.pkl'

train_dataloader = dict(
    dataset=dict(
        type='AVAKineticsClipDataset',
        ann_file=annotations + 'ava_train_v2.2.csv',
        exclude_file=annotations + 'ava_train_excluded_timestamps_v2.2.csv',
        label_file=label_file,
        proposal_file=proposals.format('train'),
        data_prefix=dict(img=frames),
    )
)
val_files = dict(
    ann_file=annotations + 'ava_val_v2.2.csv', exclude_file=annotations + 'ava_val_excluded_timestamps_v2.2.csv'
)
val_dataloader = dict(
    dataset=dict(
        **val_files, label_file=label_file, proposal_file=proposals.format('val'), data_prefix=dict(img=frames)
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(**val_files, label_file=label_file)
test_evaluator = val_evaluator
