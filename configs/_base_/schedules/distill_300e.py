# Distillation on ImageNet-1K. Read in the authors' code of arXiv 2205.14141, for its Swin-B: AdamW at 8e-4, weight
# decay 0.05, gradient norms up to 3, cosine to 1/20, 10 epochs of warm-up, batch 2048, 300 epochs.
_base_ = './mae_1600e.py'

global_batch = 2048
epochs = 300

# A run of another length keeps the places of all.
warm_up = max(1, min(10, round(0.05 * epochs)))
interval = max(1, round(epochs * 20 / 300))
train_cfg = dict(max_epochs=epochs, val_interval=max(1, epochs // 20))
optim_wrapper = dict(optimizer=dict(betas=(0.9, 0.999)), clip_grad=dict(max_norm=3.0))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(end=warm_up)
for scheduler in param_scheduler[1:]:
    scheduler.update(T_max=epochs - warm_up, begin=warm_up, end=epochs, eta_min_ratio=0.05)
auto_scale_lr = dict(base_batch_size=global_batch)
default_hooks = dict(checkpoint=dict(interval=interval))
