# Something-Something v2 fine-tuning (paper, table 12): SGD, weight decay 1e-4, 40 epochs, 3 of warm-up, cosine, layer
# decay 0.875, batch 256. Read in PySlowFast: Nesterov momentum 0.9. No clipping is listed.
_base_ = './kinetics_50e.py'

epochs = 40
learning_rate = 0.16

warm_up = max(1, round(epochs * 3 / 40))
interval = max(1, round(epochs / 40))
train_cfg = dict(max_epochs=epochs, val_begin=interval, val_interval=interval)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=learning_rate, momentum=0.9, nesterov=True, weight_decay=1e-4),
    clip_grad=None,
)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, eta_min_ratio=0.0, begin=warm_up, end=epochs)
default_hooks = dict(checkpoint=dict(interval=interval))
