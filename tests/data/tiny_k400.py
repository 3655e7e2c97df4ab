# The Kinetics recipe with a tiny backbone; nothing else differs from what is shipped.
_base_ = '../../configs/k400_hiera_b.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)), drop_path_rate=0.0, init_cfg=None
    ),
    cls_head=dict(in_channels=128),
)
