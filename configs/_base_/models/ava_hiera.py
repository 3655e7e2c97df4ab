# Hiera on clips of 16 x 224 x 224 with a linear classifier on each person (paper, appendix A.1): features of the last
# map, stride 32, RoIAlign, spatial max pooling, dropout 0.5, one sigmoid an action. Drop path 0.4: table 13.
# Read in PySlowFast, the paper's framework: the classifier's norm on the map, mean over time, RoIAlign to 7 x 7,
# dropout after pooling, boxes scored in the whole frame, pixels normalised by 0.45 and 0.225. Boxes that overlap an
# annotated one by 0.9 train with it (SlowFast paper).
model = dict(
    type='FastRCNN',
    _scope_='mmdet',
    backbone=dict(type='Hiera', num_frames=16, out_indices=(3,), out_norm=True, drop_path_rate=0.4),
    roi_head=dict(
        type='AVARoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor3D',
            roi_layer_type='RoIAlign',
            featmap_stride=32,
            output_size=7,
            with_temporal_pool=True,
            temporal_pool_mode='avg',
        ),
        bbox_head=dict(
            type='WholeFrameBBoxHeadAVA',
            background_class=True,
            multilabel=True,
            dropout_ratio=0.5,
            dropout_before_pool=False,
        ),
    ),
    data_preprocessor=dict(
        type='mmaction.ActionDataPreprocessor', mean=[114.75] * 3, std=[57.375] * 3, format_shape='NCTHW'
    ),
    train_cfg=dict(
        rcnn=dict(
            assigner=dict(type='MaxIoUAssignerAVA', pos_iou_thr=0.9, neg_iou_thr=0.9, min_pos_iou=0.9),
            sampler=dict(type='RandomSampler', num=32, pos_fraction=1, neg_pos_ub=-1, add_gt_as_proposals=True),
            pos_weight=1.0,
        )
    ),
    test_cfg=dict(rcnn=None),
)
