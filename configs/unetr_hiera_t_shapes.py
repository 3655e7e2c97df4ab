# The quickstart of volumes: UNETR with a small Hiera on the generated volumes, from random weights, on a laptop's CPU.
# All values are ours. Against unetr_hiera_t_btcv.py only what makes it quick differs: crops of 64 x 64 x 32, a narrow
# backbone and decoder, windows that overlap by a quarter, 2 crops of 2 volumes a batch and a short schedule at a higher
# rate.
_base_ = './unetr_hiera_t_btcv.py'

data_root = 'data/volumes/'
train_ann_file = 'dataset.json'
val_ann_file = train_ann_file
test_ann_file = val_ann_file
classes = ('background', 'ellipsoid', 'tube')
num_classes = len(classes)
crop_size = (64, 64, 32)
batch_size = 2
num_workers = 1
epochs = 25
learning_rate = 2e-3
weights = None

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=32, num_heads=1, depths=(1, 1, 2, 1)),
        num_frames=crop_size[2],
        pos_embed_size=16,
        init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
    ),
    decoder=dict(num_classes=num_classes, in_channels=[32, 64, 128, 256], channels=8),
    test_cfg=dict(crop_size=crop_size[::-1], overlap=0.25),
)

train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
for step in [*train_pipeline, *test_pipeline]:
    if 'spatial_size' in step:
        step['spatial_size'] = crop_size
    if 'num_samples' in step:
        step['num_samples'] = 2
dataset = dict(data_root=data_root, metainfo=dict(classes=classes))
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    dataset=dict(**dataset, ann_file=train_ann_file, pipeline=train_pipeline),
)
val_dataloader = dict(num_workers=num_workers, dataset=dict(**dataset, ann_file=val_ann_file, pipeline=test_pipeline))
test_dataloader = dict(num_workers=num_workers, dataset=dict(**dataset, ann_file=test_ann_file, pipeline=test_pipeline))

# A run of another length keeps the places of all.
warm_up = max(1, round(epochs * 2 / 25))
train_cfg = dict(max_epochs=epochs, val_interval=epochs)
optim_wrapper = dict(optimizer=dict(lr=learning_rate))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, begin=warm_up, end=epochs)
auto_scale_lr = dict(base_batch_size=2)
randomness = dict(seed=0)
default_hooks = dict(
    checkpoint=dict(interval=max(1, round(epochs * 20 / 25)), max_keep_ckpts=1), logger=dict(interval=4)
)
