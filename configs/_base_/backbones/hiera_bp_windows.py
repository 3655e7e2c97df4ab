# Hiera-B+ under a detector: windows in the last two stages, drop path of the detection recipe, weights of MAE, and
# the channels of its four maps. Where the values come from is said in mask_rcnn_hiera_bp.py.
weights = 'hiera_bp.mae_in1k'
backbone = dict(
    arch='bp',
    window_sizes=(8, 4, 16, 8),
    global_blocks=(12, 16, 20),
    drop_path_rate=0.2,
    init_cfg=weights and dict(type='Pretrained', checkpoint=weights),
)
map_channels = [112, 224, 448, 896]
