# A tiny retriever on images of three classes, with the recipe of ImageNet's classifiers.
_base_ = ['hiera_mm::_base_/datasets/imagenet.py', 'hiera_mm::_base_/schedules/imagenet_50e.py']
custom_imports = dict(imports=['hiera_mm', 'image_retrieval'], allow_failed_imports=False)

model = dict(
    type='RetrievalModel',
    backbone=dict(
        type='Hiera', arch=dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)), out_indices=(3,), drop_path_rate=0.0
    ),
    in_channels=128,
    num_classes=3,
    data_preprocessor=dict(
        type='ActionDataPreprocessor', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], format_shape='NCHW'
    ),
)
val_evaluator = dict(_delete_=True, type='RecallAt1')
test_evaluator = val_evaluator
default_hooks = dict(checkpoint=dict(save_best='recall_at_1', rule='greater'))
train_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False)
val_dataloader = dict(batch_size=8, num_workers=0, persistent_workers=False)
test_dataloader = val_dataloader
