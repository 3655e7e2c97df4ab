# The masked autoencoder on images of 224 x 224 (paper, section 3.1 and table 14): 60 % of the mask units left out, a
# decoder of 8 blocks, 16 heads. Read in the official code: its width of 512, pooling before the last stage left out,
# three stages fused, ImageNet's mean and deviation of pixels.
_base_ = './channels.py'

model = dict(
    type='MaskedAutoencoder',
    backbone=dict(type='Hiera', in_channels=_base_.in_channels),
    mask_ratio=0.6,
    decoder_embed_dim=512,
    decoder_depth=8,
    decoder_num_heads=16,
    data_preprocessor=dict(type='ActionDataPreprocessor', mean=_base_.mean, std=_base_.std, format_shape='NCHW'),
)
