# ADE20K's 150 classes at 512 x 512: mmsegmentation's pipelines (short side 512 x 0.5 to 2, crop, flip, colours), the
# long side of at most four times as much. 2 images a process: 8 processes make the usual batch of 16.
# Testing in windows of the training size with a third of overlap, as MAE and BEiT on ADE20K.
_base_ = ['mmseg::_base_/datasets/ade20k.py', './channels.py']

data_root = 'data/ade/ADEChallengeData2016'
# Files with a name on each line, which choose pictures; without one all are taken.
train_ann_file = ''
val_ann_file = ''
test_ann_file = val_ann_file
train_data_prefix = dict(img_path='images/training', seg_map_path='annotations/training')
val_data_prefix = dict(img_path='images/validation', seg_map_path='annotations/validation')
test_data_prefix = val_data_prefix
# What follows an image's name in that of its mask.
seg_map_suffix = '.png'
# None: ADE20K's 150, which its data set knows; its masks count them from 1. In masks of one's own 0 is the first class.
classes = None
# The value of mask pixels that have no class: neither trained nor scored.
ignore_index = 255
# Width and height, as the steps that resize have it; crops, windows and padding are height and width.
image_size = (512, 512)
batch_size = 2
num_workers = 4

rows_first = image_size[::-1]
windows = dict(mode='slide', crop_size=rows_first, stride=tuple(side * 2 // 3 for side in rows_first))
resized = dict(scale=(4 * image_size[0], image_size[1]), keep_ratio=True)
labels = dict(type='LoadAnnotations', **({} if classes else dict(reduce_zero_label=True)))
train_pipeline = [
    dict(type='LoadImageFromFile', **_base_.loaded),
    labels,
    dict(type='RandomResize', **resized, ratio_range=(0.5, 2.0)),
    dict(type='RandomCrop', crop_size=rows_first, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion' if _base_.coloured else 'ChannelDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', **_base_.loaded),
    dict(type='Resize', **resized),
    labels,
    dict(type='PackSegInputs'),
]
own_dataset = dict(type='SegmentationDataset', metainfo=dict(classes=classes), ignore_index=ignore_index)
dataset = dict(
    data_root=data_root,
    seg_map_suffix=seg_map_suffix,
    **(own_dataset if classes else dict(type='ADE20KDataset')),
)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    dataset=dict(**dataset, ann_file=train_ann_file, data_prefix=train_data_prefix, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(**dataset, ann_file=val_ann_file, data_prefix=val_data_prefix, pipeline=test_pipeline),
)
test_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(**dataset, ann_file=test_ann_file, data_prefix=test_data_prefix, pipeline=test_pipeline),
)
