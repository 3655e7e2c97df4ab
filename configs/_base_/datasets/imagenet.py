# ImageNet-1K in one folder a class: data/imagenet/{train,val}/CLASS/*. Paper, table 14: RandAugment (9, 0.5).
# Read in the first author's training code: random crops, flip, erasing with noise at 0.25, all in this order; bicubic;
# testing on the middle 224 pixels of images with a short side of 256.
_base_ = './channels.py'

data_root = 'data/imagenet/'
# Without a file, one folder a class.
train_ann_file = ''
train_data_prefix = dict(img='train')
val_ann_file = ''
val_data_prefix = dict(img='val')
test_ann_file = val_ann_file
test_data_prefix = val_data_prefix
# None: those of the folders or of the file.
classes = None
image_size = 224
# 64 images a process: 16 processes make a batch of 1024.
batch_size = 64
num_workers = 8

colours = [
    dict(type='ClipRandAugment', magnitude=9, magnitude_std=0.5, num_layers=2),
    # Normalised, this is noise of mean 0 and deviation 1.
    dict(
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        fill_color=[123.675, 116.28, 103.53],
        fill_std=[58.395, 57.12, 57.375],
    ),
]
if not _base_.coloured:
    colours = [dict(type='ChannelDistortion')]
train_pipeline = [
    dict(type='ReadImage', **_base_.loaded),
    dict(type='TorchvisionTransform', name='RandomResizedCrop', size=image_size, interpolation='bicubic'),
    dict(type='Flip', flip_ratio=0.5),
    *colours,
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='ReadImage', **_base_.loaded),
    dict(type='TorchvisionTransform', name='Resize', size=image_size * 256 // 224, interpolation='bicubic'),
    dict(type='TorchvisionTransform', name='CenterCrop', size=image_size),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs'),
]
dataset = dict(type='ImageDataset', data_root=data_root, **(dict(metainfo=dict(classes=classes)) if classes else {}))
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**dataset, ann_file=train_ann_file, data_prefix=train_data_prefix, pipeline=train_pipeline),
)
evaluated = dict(
    batch_size=64, num_workers=num_workers, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False)
)
dataset.update(pipeline=test_pipeline, test_mode=True)
val_dataloader = dict(**evaluated, dataset=dict(**dataset, ann_file=val_ann_file, data_prefix=val_data_prefix))
test_dataloader = dict(**evaluated, dataset=dict(**dataset, ann_file=test_ann_file, data_prefix=test_data_prefix))
# That the right class is among the first 5 says nothing of so few.
few = classes and len(classes) <= 5
val_evaluator = dict(type='AccMetric', **(dict(metric_options=dict(top_k_accuracy=dict(topk=(1,)))) if few else {}))
test_evaluator = val_evaluator
