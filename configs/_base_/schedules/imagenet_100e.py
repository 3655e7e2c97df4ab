# ImageNet-1K fine-tuning (paper, table 14): AdamW, betas 0.9 and 0.999, weight decay 0.05, cosine, 5 epochs of warm-up,
# batch 1024, layer decay. No clipping is listed. Read in the first author's training code: the cosine ends at 0, no
# decay of biases and norms.
_base_ = './kinetics_50e.py'

global_batch = 1024
epochs = 100
learning_rate = 1e-3

warm_up = max(1, min(5, round(0.05 * epochs)))
interval = max(1, round(epochs / 100))
train_cfg = dict(max_epochs=epochs, val_begin=interval, val_interval=interval)
optim_wrapper = dict(optimizer=dict(lr=learning_rate), paramwise_cfg=dict(layer_decay_rate=0.7), clip_grad=None)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, eta_min_ratio=0.0, begin=warm_up, end=epochs)
auto_scale_lr = dict(base_batch_size=global_batch)
default_hooks = dict(checkpoint=dict(interval=interval))
