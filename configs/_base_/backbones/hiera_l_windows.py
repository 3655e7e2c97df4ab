# Hiera-L under a detector: windows in the last two stages, drop path of the detection recipe, weights of MAE, and
# the channels of its four maps. Where the values come from is said in mask_rcnn_hiera_l.py.
weights = 'hiera_l.mae_in1k'
backbone = dict(
    arch='l',
    window_sizes=(8, 4, 16, 8),
    global_blocks=(23, 33, 43),
    drop_path_rate=0.4,
    init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
)
map_channels = [144, 288, 576, 1152]
