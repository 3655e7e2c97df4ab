# Cascade Mask R-CNN around Hiera; the paper has no such result. Heads, losses and proposals as detectron2's
# ViTDet and MViTv2 cascades (three stages of 4 convolutions with LayerNorm + one fully connected, L1 losses,
# 1000 proposals); the weights of the stages' losses are mmdet's (ours: detectron2 scales the shared gradient).
# Position: absolute-win (arXiv 2311.05613, and SAM 2): the table of 8 x 8 that repeats stays in step with mask units
# and windows, where a plainly resized one does not. Meta's plain tables are split (ours).
_base_ = ['mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py', './channels.py']

num_classes = 80
norm_cfg = dict(type='ChannelLayerNorm', eps=1e-6)
model = dict(
    data_preprocessor=_base_.of_detector,
    backbone=dict(_delete_=True, type='Hiera', in_channels=_base_.in_channels, pos_embed='absolute_win', out_norm=True),
    neck=dict(norm_cfg=norm_cfg),
    rpn_head=dict(type='BatchedRPNHead', num_convs=2, loss_bbox=dict(_delete_=True, type='L1Loss', loss_weight=1.0)),
    roi_head=dict(
        type='BatchedCascadeRoIHead',
        bbox_head=[
            dict(
                type='Shared4Conv1FCBBoxHead',
                in_channels=256,
                conv_out_channels=256,
                fc_out_channels=1024,
                norm_cfg=norm_cfg,
                roi_feat_size=7,
                num_classes=num_classes,
                bbox_coder=dict(
                    type='DeltaXYWHBBoxCoder',
                    target_means=[0.0, 0.0, 0.0, 0.0],
                    target_stds=[deviation, deviation, 2 * deviation, 2 * deviation],
                ),
                reg_class_agnostic=True,
                loss_cls=dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0),
                loss_bbox=dict(type='L1Loss', loss_weight=1.0),
            )
            for deviation in (0.1, 0.05, 1 / 30)
        ],
        mask_head=dict(num_classes=num_classes, norm_cfg=norm_cfg),
    ),
    train_cfg=dict(rpn=dict(allowed_border=-1), rpn_proposal=dict(max_per_img=1000)),
)
