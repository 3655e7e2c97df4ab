# Hiera-T learns the maps of Hiera-L, which was trained by masked autoencoding, on ImageNet-1K without labels: 300
# epochs at batch 2048, from random weights.
# Values: read in the code of arXiv 2205.14141, which distils into models of the teacher's size; the student, its drop
# path of 0 (as in masked autoencoding of Hiera-T) and the teacher are ours. No result is known.
# Weights of the teacher: Meta's, CC BY-NC 4.0 (no commercial use), which the student inherits.
_base_ = [
    './_base_/models/distill_hiera.py',
    './_base_/datasets/imagenet_distillation.py',
    './_base_/schedules/distill_300e.py',
]

teacher_weights = 'hiera_l.mae_in1k'
model = dict(
    backbone=dict(arch='t', drop_path_rate=0.0),
    teacher=dict(arch='l', init_cfg=teacher_weights and dict(type='Pretrained', checkpoint=teacher_weights)),
)
