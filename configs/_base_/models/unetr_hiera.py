# A U-shaped decoder on Hiera for clips, whose frames are the slices of a volume. Ours, as nobody has published it: Swin
# UNETR's decoder (arXiv 2201.01266) on Hiera's strides, one LayerNorm on each map; intensities between 0 and 1 are
# normalised as in Kinetics' pre-training (read in PySlowFast), and the patch embedding's channels are summed up to one.
# Tested as in Swin UNETR's code: windows of the crops' size that overlap by half, 4 at once.
num_classes = 14
model = dict(
    type='VolumeEncoderDecoder',
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=[0.45], std=[0.225], format_shape='NCTHW'),
    # The 96 slices of the recipe's crops; a config has those of its data instead.
    backbone=dict(type='Hiera', num_frames=96, in_channels=1, out_norm=True),
    decoder=dict(type='UNETRDecoder', num_classes=num_classes, in_channels=[96, 192, 384, 768]),
    test_cfg=dict(crop_size=(96, 96, 96), overlap=0.5, batch_size=4),
)
