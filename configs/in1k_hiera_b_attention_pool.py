# Ours: in1k_hiera_b with attention pooling in place of the mean (arXiv 2106.04560, section 3.2; pip install
# 'hiera_mm[timm]'). Nobody has trained it on ImageNet.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = './in1k_hiera_b.py'

model = dict(cls_head=dict(type='AttentionPoolingHead'))
