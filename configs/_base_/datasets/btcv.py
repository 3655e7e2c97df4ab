# BTCV's 13 abdominal organs in CT. As in Swin UNETR's published code (Project-MONAI/research-contributions,
# SwinUNETR/BTCV): its lists of 24 and 6 volumes (dataset_0.json beside the folders imagesTr and labelsTr), voxels of
# 1.5 x 1.5 x 2 mm, Hounsfield units of -175 to 250 to 0 to 1, four crops of 96^3 of each volume, half of them around an
# organ; flips, quarter turns, intensities by up to 10 %. Scored at that spacing, as there.
data_root = 'data/btcv/'
train_ann_file = 'dataset_0.json'
val_ann_file = train_ann_file
test_ann_file = val_ann_file
classes = (
    *('background', 'spleen', 'right kidney', 'left kidney', 'gallbladder', 'esophagus', 'liver', 'stomach', 'aorta'),
    *('inferior vena cava', 'portal and splenic veins', 'pancreas', 'right adrenal gland', 'left adrenal gland'),
)
crop_size = (96, 96, 96)
# Millimetres of a voxel along X, Y and Z.
spacing = (1.5, 1.5, 2.0)
# How intensities become comparable: (low, high), as in CT, become 0 and 1; None, each volume's percentiles 1 and 99
# become 0 and 1; 'zscore', as for MRI: mean 0 and deviation 1 of what is not 0. One for all channels, or a list.
intensity_range = (-175, 250)
# Of a volume: files of an entry's "image", or the fourth axis of one file.
channels = 1
# Which of the folds of the training list is validated on; None for a list with the parts training and validation.
fold = None
batch_size = 1
num_workers = 4

both, image = ('image', 'label'), ('image',)
ranges = intensity_range if isinstance(intensity_range, list) else [intensity_range]
scaled, standardised = [], []
for channel, chosen in enumerate(ranges):
    step = dict(type='MonaiTransform', keys=image)
    if len(ranges) > 1:
        step.update(channels=[channel])
    if chosen == 'zscore':
        standardised.append(dict(**step, name='NormalizeIntensityd', nonzero=True, channel_wise=True))
        continue
    step.update(b_min=0.0, b_max=1.0, clip=True)
    if chosen:
        scaled.append(dict(**step, name='ScaleIntensityRanged', a_min=chosen[0], a_max=chosen[1]))
    else:
        scaled.append(dict(**step, name='ScaleIntensityRangePercentilesd', lower=1, upper=99, channel_wise=True))
# What is between 0 and 1 the model normalises as in Kinetics' pre-training.
means = [0.0 if chosen == 'zscore' else 0.45 for chosen in ranges]
deviations = [1.0 if chosen == 'zscore' else 0.225 for chosen in ranges]
prepared = [
    dict(type='LoadVolumes'),
    dict(type='MonaiTransform', name='Orientationd', keys=both, axcodes='RAS', labels=None, allow_missing_keys=True),
    dict(
        type='MonaiTransform',
        name='Spacingd',
        keys=both,
        pixdim=spacing,
        mode=('bilinear', 'nearest'),
        allow_missing_keys=True,
    ),
    *scaled,
    # What is 0 or less in all channels is air, of MRI before it is divided by its deviation.
    dict(
        type='MonaiTransform',
        name='CropForegroundd',
        keys=both,
        source_key='image',
        allow_smaller=True,
        allow_missing_keys=True,
    ),
    *standardised,
]
augmented = [
    *(dict(type='MonaiTransform', name='RandFlipd', keys=both, prob=0.2, spatial_axis=axis) for axis in range(3)),
    dict(type='MonaiTransform', name='RandRotate90d', keys=both, prob=0.2, max_k=3),
    dict(type='MonaiTransform', name='RandScaleIntensityd', keys=image, factors=0.1, prob=0.1),
    dict(type='MonaiTransform', name='RandShiftIntensityd', keys=image, offsets=0.1, prob=0.1),
]
cropped = dict(
    type='MonaiTransform',
    name='RandCropByPosNegLabeld',
    keys=both,
    label_key='label',
    image_key='image',
    spatial_size=crop_size,
    num_samples=4,
    allow_smaller=True,
)
# What is smaller than a crop is filled with 0, the intensity of air.
filled = dict(type='MonaiTransform', name='SpatialPadd', keys=both, spatial_size=crop_size, allow_missing_keys=True)
train_pipeline = [*prepared, filled, cropped, *augmented]
test_pipeline = [*prepared, filled]

dataset = dict(type='VolumeDataset', data_root=data_root, metainfo=dict(classes=classes), channels=channels, fold=fold)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**dataset, ann_file=train_ann_file, data_list_key='training', pipeline=train_pipeline),
)
evaluated = dict(
    batch_size=1, num_workers=num_workers, persistent_workers=True, sampler=dict(type='DefaultSampler', shuffle=False)
)
dataset.update(data_list_key='validation', pipeline=test_pipeline, test_mode=True)
val_dataloader = dict(**evaluated, dataset=dict(**dataset, ann_file=val_ann_file))
# Another list for testing has no folds.
dataset.update(fold=fold if test_ann_file == val_ann_file else None)
test_dataloader = dict(**evaluated, dataset=dict(**dataset, ann_file=test_ann_file))
val_evaluator = dict(type='VolumeDiceMetric')
test_evaluator = val_evaluator
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
