# ADE20K's 150 classes at 512 x 512: mmsegmentation's pipelines (short side 512 x 0.5 to 2, crop, flip, colours).
# 2 images a process: 8 processes make the usual batch of 16.
_base_ = 'mmseg::_base_/datasets/ade20k.py'

train_dataloader = dict(batch_size=2)
