# Masked autoencoding on Kinetics (paper, table 11): as on ImageNet but batch 512, and 3200 epochs with 120 of warm-up,
# which count each of 4 repeats: 800 passes over the list with 30 of warm-up. Read in PySlowFast: gradient norms up to
# 0.02, and a last learning rate of 1/100. Whether 512 counts videos (as here) or clips is not said.
_base_ = './mae_1600e.py'

global_batch = 512
epochs = 800

warm_up = max(1, min(30, round(0.05 * epochs)))
interval = max(1, round(epochs * 20 / 800))
train_cfg = dict(max_epochs=epochs, val_interval=max(1, epochs // 20))
optim_wrapper = dict(clip_grad=dict(max_norm=0.02))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, begin=warm_up, end=epochs, eta_min_ratio=0.01)
auto_scale_lr = dict(base_batch_size=global_batch)
default_hooks = dict(checkpoint=dict(interval=interval))
