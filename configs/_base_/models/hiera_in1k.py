# Hiera on images of 224 x 224 with a linear classifier on the mean token (paper, section 3), as a recogniser of clips
# of one frame. Label smoothing, mixup and cutmix: table 14. Read in the first author's training code: one of mixup and
# cutmix for every batch, by even odds; ImageNet's mean and deviation. Head: logits, so that average_clips takes the
# one softmax.
_base_ = './channels.py'

num_classes = 1000
# That the right class is among the first 5 says nothing of so few.
ranks = dict(topk=(1,)) if num_classes <= 5 else {}
model = dict(
    type='ImageRecognizer',
    backbone=dict(type='Hiera', in_channels=_base_.in_channels, out_indices=(3,)),
    cls_head=dict(type='HieraHead', num_classes=num_classes, label_smooth_eps=0.1, average_clips='prob', **ranks),
    data_preprocessor=dict(
        type='ActionDataPreprocessor',
        mean=_base_.mean,
        std=_base_.std,
        format_shape='NCHW',
        blending=dict(
            type='RandomBatchAugment',
            # None: as many as the head predicts.
            augments=[
                dict(type='MixupBlending', alpha=0.8, num_classes=None),
                dict(type='CutmixBlending', alpha=1.0, num_classes=None),
            ],
        ),
    ),
)
