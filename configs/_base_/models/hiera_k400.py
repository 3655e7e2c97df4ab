# Hiera on clips of 16 x 224 x 224 with a linear classifier on the mean token (paper, section 3 and appendix A.1).
# Label smoothing, mixup and cutmix: tables 11 and 12. Read in PySlowFast: one of mixup and cutmix for every batch, by
# even odds; pixels normalised by 0.45 and 0.225. Head: logits, so that average_clips takes the one softmax.
num_classes = 400
# That the right class is among the first 5 says nothing of so few.
ranks = dict(topk=(1,)) if num_classes <= 5 else {}
model = dict(
    type='ClipRecognizer',
    backbone=dict(type='Hiera', num_frames=16, out_indices=(3,)),
    cls_head=dict(type='HieraHead', num_classes=num_classes, label_smooth_eps=0.1, average_clips='prob', **ranks),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=[114.75] * 3,
        std=[57.375] * 3,
        format_shape='NCTHW',
        blending=dict(
            type='RandomBatchAugment',
            # None: as many as the head predicts.
            augments=[
                dict(type='MixupBlending', alpha=0.8, num_classes=None),
                dict(type='CutmixBlending', alpha=1.0, num_classes=None),
            ],
        ),
    ),
    # Clips computed at once in testing (at least one of each video in the batch); fewer need less memory.
    test_cfg=dict(max_testing_views=5),
)
