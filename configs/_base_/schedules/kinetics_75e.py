# As kinetics_50e.py for Hiera-B and B+, whose 150 epochs (paper, table 11) are 75 passes over the list.
_base_ = './kinetics_50e.py'

epochs, warm_up = 75, 5
train_cfg = dict(max_epochs=epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=epochs - warm_up, end=epochs)
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8))
