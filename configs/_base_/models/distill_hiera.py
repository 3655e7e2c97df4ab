# Distillation: a Hiera learns the maps of a larger, frozen backbone, all four of them (ours; arXiv 2205.14141 takes the
# last layer): a linear layer on each, the teacher's tokens normalised, smooth L1 that is quadratic up to 2 (there).
_base_ = './channels.py'

model = dict(
    type='FeatureDistillation',
    backbone=dict(type='Hiera', in_channels=_base_.in_channels),
    teacher=dict(type='Hiera', in_channels=_base_.in_channels),
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=_base_.mean, std=_base_.std, format_shape='NCHW'),
)
