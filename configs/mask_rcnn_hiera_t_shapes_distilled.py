# mask_rcnn_hiera_t_shapes.py from the backbone that distill_hiera_t_shapes.py has taught instead of random weights.
# All values are ours.
_base_ = './mask_rcnn_hiera_t_shapes.py'

weights = 'work_dirs/distill_hiera_t_shapes/epoch_3.pth'
model = dict(backbone=dict(init_cfg=weights and dict(_delete_=True, type='Pretrained', checkpoint=weights)))
