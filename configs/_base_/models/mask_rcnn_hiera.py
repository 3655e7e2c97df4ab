# Mask R-CNN as the paper trains it (appendix A.2: ViTDet's heads, FPN on the four stages), around Hiera.
# Read in detectron2 (projects/ViTDet, modeling/backbone/fpn.py): LayerNorm over channels in FPN and RoI heads,
# none in the RPN; 2 hidden convolutions in the RPN, 4 + one fully connected of 1024 in the box head, 4 in the
# mask head; batches padded with zeros to 1024 x 1024. The rest of mmdet's base agrees with it.
# Inferred (MViTv2's practice in detectron2): one LayerNorm on each map that Hiera gives to the FPN.
# Position: absolute-win (arXiv 2311.05613, and SAM 2): the table of 8 x 8 that repeats stays in step with mask units
# and windows, where a plainly resized one does not. Meta's plain tables are split (ours).
_base_ = ['mmdet::_base_/models/mask-rcnn_r50_fpn.py', './channels.py']

num_classes = 80
norm_cfg = dict(type='ChannelLayerNorm', eps=1e-6)
model = dict(
    data_preprocessor=_base_.of_detector,
    backbone=dict(_delete_=True, type='Hiera', in_channels=_base_.in_channels, pos_embed='absolute_win', out_norm=True),
    neck=dict(norm_cfg=norm_cfg),
    rpn_head=dict(type='BatchedRPNHead', num_convs=2),
    roi_head=dict(
        type='BatchedRoIHead',
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead', conv_out_channels=256, num_classes=num_classes, norm_cfg=norm_cfg
        ),
        mask_head=dict(num_classes=num_classes, norm_cfg=norm_cfg),
    ),
)
