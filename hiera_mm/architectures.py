"""The published sizes of Hiera."""

ARCHITECTURES = {
    # Table 2 of the paper (arXiv 2306.00989). Width and heads are those of stage 1 and double at each later stage.
    't': dict(embed_dim=96, num_heads=1, depths=(1, 2, 7, 2)),
    's': dict(embed_dim=96, num_heads=1, depths=(1, 2, 11, 2)),
    'b': dict(embed_dim=96, num_heads=1, depths=(2, 3, 16, 3)),
    'bp': dict(embed_dim=112, num_heads=2, depths=(2, 3, 16, 3)),
    'l': dict(embed_dim=144, num_heads=2, depths=(2, 6, 36, 4)),
    'h': dict(embed_dim=256, num_heads=4, depths=(2, 6, 36, 4)),
    # timm's hiera_small_abswin_256 and hiera_base_abswin_256, trained from scratch with LayerScale.
    's_abswin': dict(embed_dim=96, num_heads=1, depths=(1, 2, 11, 2), layer_scale=True, pooled_shortcut=True),
    'b_abswin': dict(embed_dim=96, num_heads=1, depths=(2, 3, 16, 3), layer_scale=True),
}
SAM2_WINDOWS = {
    # SAM 2's window_spec and global_att_blocks (arXiv 2408.00714; sam2/configs).
    't': dict(window_sizes=(8, 4, 14, 7), global_blocks=(5, 7, 9)),
    's': dict(window_sizes=(8, 4, 14, 7), global_blocks=(7, 10, 13)),
    'bp': dict(window_sizes=(8, 4, 14, 7), global_blocks=(12, 16, 20)),
    'l': dict(window_sizes=(8, 4, 16, 8), global_blocks=(23, 33, 43)),
}
LONG_NAMES = dict(tiny='t', small='s', base='b', base_plus='bp', large='l', huge='h')
