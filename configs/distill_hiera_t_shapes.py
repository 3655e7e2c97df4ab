# Hiera-T learns the maps of a Hiera-S, which is the backbone of a detector trained on 600 labelled images
# (mask_rcnn_hiera_s_shapes.py), on 4000 generated images of 128 pixels without labels, on a laptop's CPU;
# mask_rcnn_hiera_t_shapes_distilled.py starts from it. All values are ours: whole images of 96 to 128 pixels, and a
# short schedule.
_base_ = './distill_hiera_t_from_l.py'

data_root = 'data/unlabelled_shapes/'
image_size = 128
batch_size = 32
num_workers = 1
# 125 iterations an epoch of 4000 images.
epochs = 3
learning_rate = 6e-4

teacher_weights = 'work_dirs/mask_rcnn_hiera_s_shapes/iter_450.pth'
model = dict(
    teacher=dict(
        arch='s', out_norm=True, init_cfg=teacher_weights and dict(type='Pretrained', checkpoint=teacher_weights)
    ),
)

train_pipeline = _base_.train_pipeline
# Images are smaller; the rest becomes black.
train_pipeline[1] = dict(type='TorchvisionTransform', name='CenterCrop', size=image_size)
test_pipeline = [step for step in train_pipeline if step['type'] != 'Flip']
train_dataloader = dict(
    batch_size=batch_size, num_workers=num_workers, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)
val_dataloader = _base_.val_dataloader and dict(
    num_workers=num_workers, dataset=dict(data_root=data_root, pipeline=test_pipeline)
)

# A run of another length keeps the places of all.
warm_up = min(0.25, epochs / 12)
train_cfg = dict(max_epochs=epochs, val_interval=max(1, epochs // 20))
optim_wrapper = dict(optimizer=dict(lr=learning_rate))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=0.01, end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, begin=warm_up, end=epochs)
auto_scale_lr = dict(base_batch_size=32)
randomness = dict(seed=0)
default_hooks = dict(checkpoint=dict(interval=max(1, round(epochs / 3))), logger=dict(interval=10))
