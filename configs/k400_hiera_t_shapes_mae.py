# k400_hiera_t_shapes.py from the masked autoencoder of mae_hiera_t_k400_shapes.py instead of random weights.
# All values are ours.
_base_ = './k400_hiera_t_shapes.py'

weights = 'work_dirs/mae_hiera_t_k400_shapes/epoch_20.pth'
model = dict(backbone=dict(init_cfg=weights and dict(_delete_=True, type='Pretrained', checkpoint=weights)))
