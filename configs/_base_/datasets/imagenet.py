# ImageNet-1K in one folder a class: data/imagenet/{train,val}/CLASS/*. Paper, table 14: RandAugment (9, 0.5).
# Read in the first author's training code: random crops, flip, erasing with noise at 0.25, all in this order; bicubic;
# testing on the middle 224 pixels of images with a short side of 256.
data_root = 'data/imagenet/'

train_pipeline = [
    dict(type='ReadImage'),
    dict(type='TorchvisionTransform', name='RandomResizedCrop', size=224, interpolation='bicubic'),
    dict(type='Flip', flip_ratio=0.5),
    dict(type='ClipRandAugment', magnitude=9, magnitude_std=0.5, num_layers=2),
    # Normalised, this is noise of mean 0 and deviation 1.
    dict(
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        fill_color=[123.675, 116.28, 103.53],
        fill_std=[58.395, 57.12, 57.375],
    ),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs'),
]
test_pipeline = [
    dict(type='ReadImage'),
    dict(type='TorchvisionTransform', name='Resize', size=256, interpolation='bicubic'),
    dict(type='TorchvisionTransform', name='CenterCrop', size=224),
    dict(type='FormatShape', input_format='NCHW'),
    dict(type='PackActionInputs'),
]
# 64 images a process: 16 processes make a batch of 1024.
train_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='ImageDataset', data_root=data_root, data_prefix=dict(img='train'), pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='ImageDataset',
        data_root=data_root,
        data_prefix=dict(img='val'),
        pipeline=test_pipeline,
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='AccMetric')
test_evaluator = val_evaluator
