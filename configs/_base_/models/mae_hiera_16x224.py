# The masked autoencoder on clips of 16 x 224 x 224 (paper, tables 11 and 12): 90 % of the mask units left out.
# The decoder has 16 heads as in the official code; the tables say 8, and Meta's files can't tell, as no shape depends
# on it.
# Read in PySlowFast: pixels normalised by 0.45 and 0.225.
_base_ = './mae_hiera.py'

mean = [114.75] * 3
std = [57.375] * 3
model = dict(
    backbone=dict(num_frames=16),
    # Of the recipe; a config has the size of its data instead.
    input_size=(16, 224, 224),
    mask_ratio=0.9,
    data_preprocessor=dict(mean=mean, std=std, format_shape='NCTHW'),
)
