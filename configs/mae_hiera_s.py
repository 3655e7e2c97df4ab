# Masked autoencoding of Hiera-S on ImageNet-1K, 1600 epochs at batch 4096, from random weights.
# Values: paper, table 14. Reported in the paper (table 8): 83.8 top-1 after fine-tuning (in1k_hiera_s.py).
_base_ = ['./_base_/models/mae_hiera.py', './_base_/datasets/imagenet_mae.py', './_base_/schedules/mae_1600e.py']

model = dict(backbone=dict(arch='s', drop_path_rate=0.0), input_size=(_base_.image_size, _base_.image_size))
