# The quickstart with Hiera-S: the teacher of distill_hiera_t_shapes.py. All values are ours.
_base_ = './mask_rcnn_hiera_t_shapes.py'

model = dict(backbone=dict(arch='s'))
