# Masked autoencoding of Hiera-B+ on ImageNet-1K, 1600 epochs at batch 4096, from random weights.
# Values: paper, table 14. Reported in the paper (table 8): 85.2 top-1 after fine-tuning (in1k_hiera_bp.py).
_base_ = ['./_base_/models/mae_hiera.py', './_base_/datasets/imagenet_mae.py', './_base_/schedules/mae_1600e.py']

model = dict(backbone=dict(arch='bp', drop_path_rate=0.2), input_size=(_base_.image_size, _base_.image_size))
