# As distill_hiera_t_from_l.py, but student and teacher see the same random quarter of the mask units. Ours, after what
# arXiv 2208.12256 does with masked autoencoders of ViT. No result is known.
_base_ = './distill_hiera_t_from_l.py'

model = dict(mask_ratio=0.75)
