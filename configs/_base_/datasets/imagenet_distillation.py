# ImageNet-1K without labels, as for masked autoencoding but for what was read in the code of arXiv 2205.14141: crops
# of 8 to 100 % of the area.
_base_ = './imagenet_mae.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(scale=(0.08, 1.0))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
