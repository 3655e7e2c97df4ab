# As kinetics_50e.py for Hiera-B and B+, whose 150 epochs (paper, table 11) are 75 passes over the list.
_base_ = './kinetics_50e.py'

epochs = 75

warm_up = max(1, round(epochs * 5 / 75))
interval = max(1, round(epochs / 75))
train_cfg = dict(max_epochs=epochs, val_begin=interval, val_interval=interval)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, begin=warm_up, end=epochs)
default_hooks = dict(checkpoint=dict(interval=interval))
