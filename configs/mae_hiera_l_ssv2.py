# Masked autoencoding of Hiera-L on clips of Something-Something v2, 1600 effective epochs, from random weights.
# Values: paper, table 12. Reported in the paper (table 6): 75.1 top-1 after fine-tuning (ssv2_hiera_l.py).
_base_ = [
    './_base_/models/mae_hiera_16x224.py',
    './_base_/datasets/ssv2_mae.py',
    './_base_/schedules/mae_ssv2_400e.py',
]

model = dict(backbone=dict(arch='l', drop_path_rate=0.2), input_size=(16, _base_.image_size, _base_.image_size))
