# Masked autoencoding on Something-Something v2 (paper, table 12): batch 1024, gradient norms up to 0.02, 1600 epochs
# with 30 of warm-up, here read as counting each of 4 repeats: 400 passes over the list with 8 of warm-up (ours).
_base_ = './mae_kinetics_800e.py'

global_batch = 1024
epochs = 400

warm_up = max(1, min(8, round(0.05 * epochs)))
interval = max(1, round(epochs * 20 / 400))
train_cfg = dict(max_epochs=epochs, val_interval=max(1, epochs // 20))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, begin=warm_up, end=epochs)
auto_scale_lr = dict(base_batch_size=global_batch)
default_hooks = dict(checkpoint=dict(interval=interval))
