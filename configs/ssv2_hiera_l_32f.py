# Hiera-L on Something-Something v2, one frame of each of 32 segments, from MAE pre-training on Kinetics-400.
# Values: paper, table 12 (batch 128, no mixup, cutmix or label smoothing). Reported in the paper (table 6): 76.5 top-1
# from pre-training on SSv2, whose weights were never published; this start is ours, with the temporal table of
# 16 frames resized.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = './ssv2_hiera_l.py'

learning_rate = 0.08
clip_len = 32
batch_size = 4
model = dict(
    backbone=dict(num_frames=clip_len, drop_path_rate=0.2),
    cls_head=dict(label_smooth_eps=0.0),
    data_preprocessor=dict(blending=None),
)
train_pipeline, val_pipeline, test_pipeline = _base_.train_pipeline, _base_.val_pipeline, _base_.test_pipeline
for pipeline in (train_pipeline, val_pipeline, test_pipeline):
    pipeline[1].clip_len = clip_len
train_dataloader = dict(batch_size=batch_size, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
global_batch = 128
optim_wrapper = dict(optimizer=dict(lr=learning_rate))
auto_scale_lr = dict(base_batch_size=global_batch)
