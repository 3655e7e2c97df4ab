# AVA fine-tuning (paper, table 13): SGD at 3.6, weight decay 1e-8, 30 epochs, 5 of warm-up, cosine, layer decay 0.875,
# batch 128. Read in PySlowFast: Nesterov momentum 0.9. The paper says nothing of clipping.
_base_ = './ssv2_40e.py'

global_batch = 128
epochs = 30
learning_rate = 3.6

warm_up = max(1, round(epochs * 5 / 30))
interval = max(1, round(epochs / 30))
train_cfg = dict(max_epochs=epochs, val_begin=interval, val_interval=interval)
optim_wrapper = dict(optimizer=dict(lr=learning_rate, weight_decay=1e-8))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, begin=warm_up, end=epochs)
auto_scale_lr = dict(base_batch_size=global_batch)
default_hooks = dict(checkpoint=dict(interval=interval))
