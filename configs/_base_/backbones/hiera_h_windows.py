# Hiera-H under a detector: windows in the last two stages, drop path of the detection recipe, weights of MAE, and
# the channels of its four maps. Where the values come from is said in mask_rcnn_hiera_h.py.
weights = 'hiera_h.mae_in1k'
backbone = dict(
    arch='h',
    window_sizes=(8, 4, 16, 8),
    global_blocks=(23, 33, 43),
    drop_path_rate=0.5,
    init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
)
map_channels = [256, 512, 1024, 2048]
