# UPerNet's decoder (arXiv 1807.10221) with an auxiliary head on stage 3, as Swin and ConvNeXt use it, on Hiera's four
# maps; mmsegmentation's base has the rest. Inferred, as in this suite's detectors: one LayerNorm on each map, and
# absolute-win positions (arXiv 2311.05613), which stay in step with mask units at 512 pixels; MAE's table is split.
# Padded to mask units; where the size of crops is known, to that in training.
_base_ = ['mmseg::_base_/models/upernet_swin.py', './channels.py']

num_classes = 150
model = dict(
    data_preprocessor=dict(**_base_.of_segmentor, size_divisor=32, test_cfg=dict(size_divisor=32)),
    backbone=dict(_delete_=True, type='Hiera', in_channels=_base_.in_channels, pos_embed='absolute_win', out_norm=True),
    decode_head=dict(num_classes=num_classes),
    auxiliary_head=dict(num_classes=num_classes),
)
