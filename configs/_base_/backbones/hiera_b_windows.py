# Hiera-B under a detector: windows in the last two stages, drop path of the detection recipe, weights of MAE, and
# the channels of its four maps. Where the values come from is said in mask_rcnn_hiera_b.py.
weights = 'hiera_b.mae_in1k'
backbone = dict(
    arch='b',
    window_sizes=(8, 4, 16, 8),
    global_blocks=(12, 16, 20),
    drop_path_rate=0.2,
    init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
)
map_channels = [96, 192, 384, 768]
