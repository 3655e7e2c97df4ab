# As imagenet_100e.py with 50 epochs (paper, table 14).
_base_ = './imagenet_100e.py'

epochs, warm_up = 50, 5
train_cfg = dict(max_epochs=epochs)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=epochs - warm_up, end=epochs)
