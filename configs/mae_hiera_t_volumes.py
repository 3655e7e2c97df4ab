# Masked autoencoding of Hiera-T on volumes without labels: the list 'training' of a file as the Medical Segmentation
# Decathlon has them (here BTCV's), crops of 96^3. Ours, as nobody has published it: data as for unetr_hiera_t_btcv.py
# with crops from anywhere; rate (for 512 volumes together; --auto-scale-lr for fewer), mask ratio and decoder as for
# MAE on clips; 400 epochs.
_base_ = ['./_base_/models/mae_hiera_16x224.py', './_base_/datasets/btcv.py', './_base_/schedules/mae_kinetics_800e.py']

crop_size = (96, 96, 96)
epochs = 400

model = dict(
    backbone=dict(
        arch='t', num_frames=crop_size[2], in_channels=_base_.channels, pos_embed_size=24, drop_path_rate=0.0
    ),
    input_size=crop_size[::-1],
    data_preprocessor=dict(mean=_base_.means, std=_base_.deviations),
)

image = ('image',)
cropped = dict(
    type='MonaiTransform',
    name='RandSpatialCropSamplesd',
    keys=image,
    roi_size=crop_size,
    num_samples=4,
    random_size=False,
)
flips = [dict(type='MonaiTransform', name='RandFlipd', keys=image, prob=0.5, spatial_axis=axis) for axis in range(3)]
filled = dict(type='MonaiTransform', name='SpatialPadd', keys=image, spatial_size=crop_size)
train_pipeline = [*_base_.prepared, filled, cropped, *flips]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, with_label=False))
val_dataloader = test_dataloader = val_evaluator = test_evaluator = val_cfg = test_cfg = None

warm_up = max(1, min(20, round(0.05 * epochs)))
interval = max(1, round(epochs * 20 / 400))
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, begin=warm_up, end=epochs)
default_hooks = dict(checkpoint=dict(interval=interval))
