# The ImageNet recipe with a tiny backbone, on a few images in three class folders, to be trained in a test.
_base_ = '../../configs/in1k_hiera_b.py'

num_classes = 3
augments = _base_.model.data_preprocessor.blending.augments
augments[0].update(num_classes=num_classes)
augments[1].update(num_classes=num_classes)
tiny = dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
model = dict(
    backbone=dict(arch=tiny, drop_path_rate=0.0, init_cfg=None),
    cls_head=dict(num_classes=num_classes, in_channels=128, topk=(1,)),
    data_preprocessor=dict(blending=dict(augments=augments)),
)
train_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=4, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
val_evaluator = dict(metric_options=dict(top_k_accuracy=dict(topk=(1,))))
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
