# k400_hiera_t_shapes.py from the masked autoencoder of mae_hiera_t_k400_shapes.py instead of random weights.
# All values are ours.
_base_ = './k400_hiera_t_shapes.py'

model = dict(
    backbone=dict(
        init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='work_dirs/mae_hiera_t_k400_shapes/epoch_20.pth')
    )
)
