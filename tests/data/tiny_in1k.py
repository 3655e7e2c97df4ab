# The ImageNet recipe with a tiny backbone, on images of three classes, of which no five can be the best.
_base_ = '../../configs/in1k_hiera_b.py'

num_classes = 3
tiny = dict(_delete_=True, embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))
model = dict(
    backbone=dict(arch=tiny, drop_path_rate=0.0, init_cfg=None),
    cls_head=dict(num_classes=num_classes, in_channels=128, topk=(1,)),
)
val_evaluator = dict(metric_options=dict(top_k_accuracy=dict(topk=(1,))))
test_evaluator = val_evaluator
