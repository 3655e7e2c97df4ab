# Masked autoencoding of Hiera-B on clips of Kinetics-400, 3200 effective epochs, from random weights.
# Values: paper, table 11. Reported in the paper (table 4): 84.0 top-1 after fine-tuning (k400_hiera_b.py).
_base_ = [
    './_base_/models/mae_hiera_16x224.py',
    './_base_/datasets/kinetics400_mae.py',
    './_base_/schedules/mae_kinetics_800e.py',
]

model = dict(backbone=dict(arch='b', drop_path_rate=0.1), input_size=(16, _base_.image_size, _base_.image_size))
