# The Kinetics recipe with a tiny backbone, on a list of a few videos, to be trained for some iterations in a test.
_base_ = '../../configs/k400_hiera_b.py'

num_classes = 2
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)), drop_path_rate=0.0, init_cfg=None
    ),
    cls_head=dict(num_classes=num_classes, in_channels=128, topk=(1,)),
    data_preprocessor=dict(
        blending=dict(
            augments=[
                dict(type='MixupBlending', alpha=0.8, num_classes=num_classes),
                dict(type='CutmixBlending', alpha=1.0, num_classes=num_classes),
            ]
        )
    ),
)
train_dataloader = dict(batch_size=1, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=1, num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0, persistent_workers=False)
val_evaluator = dict(metric_options=dict(top_k_accuracy=dict(topk=(1,))))
test_evaluator = val_evaluator
default_hooks = dict(logger=dict(interval=1))
