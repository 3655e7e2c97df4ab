# As distill_hiera_t_from_l.py, but student and teacher see the same random quarter of the mask units, which takes a
# quarter of the time (arXiv 2208.12256, for masked autoencoders of ViT, whose share of 75 % this is).
_base_ = './distill_hiera_t_from_l.py'

teacher_weights = 'hiera_l.mae_in1k'
model = dict(
    teacher=dict(init_cfg=teacher_weights and dict(type='Pretrained', checkpoint=teacher_weights)),
    mask_ratio=0.75,
)
