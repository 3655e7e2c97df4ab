# As inat2019_hiera_h.py on images of 448 x 448. Reported in the paper (table 9): 88.5 top-1.
# The position table learns at half the full rate instead of the layer rule's (appendix A.2).
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = './inat2019_hiera_h.py'

image_size = 448
batch_size = 16

model = dict(backbone=dict(pos_embed_size=image_size // 4))
train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
train_pipeline[1].update(size=image_size)
test_pipeline[1].update(size=image_size * 256 // 224)
test_pipeline[2].update(size=image_size)
train_dataloader = dict(batch_size=batch_size, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(batch_size=16, dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(batch_size=16, dataset=dict(pipeline=test_pipeline))
optim_wrapper = dict(paramwise_cfg=dict(pos_embed_lr_mult=0.5))
