# Image classification on generated shapes: Hiera-T from random weights, on a laptop's CPU. All values are ours.
# Against in1k_hiera_t.py only what makes it quick differs: images of 128 pixels without augmentation and drop path, and
# a short schedule.
_base_ = './in1k_hiera_t.py'

data_root = 'data/class_shapes/'
num_classes = 3
size = 128
model = dict(
    backbone=dict(drop_path_rate=0.0, pos_embed_size=size // 4, init_cfg=None),
    cls_head=dict(num_classes=num_classes, init_scale=1.0, topk=(1,)),
    data_preprocessor=dict(blending=None),
)

test_pipeline = _base_.test_pipeline
test_pipeline[1].update(size=size)
test_pipeline[2].update(size=size)
train_pipeline = test_pipeline
train_dataloader = dict(batch_size=32, num_workers=1, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(batch_size=32, num_workers=1, dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(metric_options=dict(top_k_accuracy=dict(topk=(1,))))
test_evaluator = val_evaluator

epochs = 3
train_cfg = dict(max_epochs=epochs)
optim_wrapper = dict(optimizer=dict(lr=1e-3), clip_grad=dict(_delete_=True, max_norm=1.0))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=1)
param_scheduler[1].update(T_max=epochs - 1, begin=1, end=epochs)
auto_scale_lr = dict(base_batch_size=32)
randomness = dict(seed=0)
default_hooks = dict(logger=dict(interval=10))
