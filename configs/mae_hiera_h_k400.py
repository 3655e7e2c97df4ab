# Masked autoencoding of Hiera-H on clips of Kinetics-400, 3200 effective epochs, from random weights.
# Values: paper, table 11. Reported in the paper (table 4): 87.8 top-1 after fine-tuning (k400_hiera_h.py).
_base_ = [
    './_base_/models/mae_hiera_16x224.py',
    './_base_/datasets/kinetics400_mae.py',
    './_base_/schedules/mae_kinetics_800e.py',
]

learning_rate = 3.2e-4
model = dict(backbone=dict(arch='h', drop_path_rate=0.4), input_size=(16, _base_.image_size, _base_.image_size))
optim_wrapper = dict(optimizer=dict(lr=learning_rate))
