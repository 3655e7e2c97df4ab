# The AVA recipe with a tiny backbone; nothing else differs from what is shipped. A config that inherits it names the
# files.
_base_ = '../../configs/ava_hiera_b.py'

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)), drop_path_rate=0.0, init_cfg=None
    ),
    roi_head=dict(bbox_head=dict(in_channels=128)),
)
