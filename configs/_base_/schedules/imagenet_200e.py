# As imagenet_100e.py with 200 epochs (paper, table 14).
_base_ = './imagenet_100e.py'

epochs = 200

warm_up = max(1, min(5, round(0.05 * epochs)))
interval = max(1, round(epochs / 200))
train_cfg = dict(max_epochs=epochs, val_begin=interval, val_interval=interval)
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, begin=warm_up, end=epochs)
default_hooks = dict(checkpoint=dict(interval=interval))
