# Ours: mask_rcnn_hiera_b whose backbone stays as it was pre-trained, but for low-rank updates of its attention (LoRA,
# arXiv 2106.09685; pip install 'hiera_mm[lora]'), for less memory or few pictures. Rank, scale and the updates' rate,
# ten times that of the rest: ours, in the range that the paper uses. Nobody has trained it on COCO.
# Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = './mask_rcnn_hiera_b.py'

model = dict(backbone=dict(lora=dict(r=16, lora_alpha=32)))
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'lora_': dict(lr_mult=10.0)}))
