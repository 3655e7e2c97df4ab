# Mask2Former (arXiv 2112.01527) on COCO's things and stuff as mmdet has it: the heads, the recipe of 50 epochs at batch
# 16 with large-scale jitter at 1024 x 1024, the backbone at a tenth of the rate. Panoptic quality, by which the best
# checkpoint is kept beside the last three, needs the package panopticapi-lite. Of COCO itself the instances are scored
# as well, of one's own set panoptic quality alone.
import os

_base_ = [
    'mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py',
    './mask2former_hiera.py',
    './datasets/channels.py',
]

data_root = 'data/coco/'
train_ann_file = 'annotations/panoptic_train2017.json'
train_data_prefix = dict(img='train2017/', seg='annotations/panoptic_train2017/')
val_ann_file = 'annotations/panoptic_val2017.json'
val_data_prefix = dict(img='val2017/', seg='annotations/panoptic_val2017/')
test_ann_file = val_ann_file
test_data_prefix = val_data_prefix
# None: COCO's 80 things and 53 stuffs, which the data set knows.
thing_classes = None
stuff_classes = None
max_iters = 368750
# Iterations of an epoch: hiera-mm train counts them where the length is not the recipe's.
epoch_length = 1
learning_rate = 1e-4
image_size = (1024, 1024)
batch_size = 2
num_workers = 2

batch_augments = [
    {**{key: value for key, value in _base_.batch_augments[0].items() if key != '_scope_'}, 'size': image_size[::-1]}
]
of_coco = thing_classes is None
num_things, num_stuff = (80, 53) if of_coco else (len(thing_classes), len(stuff_classes))
counts = dict(num_things_classes=num_things, num_stuff_classes=num_stuff)
model = dict(
    data_preprocessor=dict(**_base_.of_detector, batch_augments=batch_augments),
    backbone=_base_.hiera,
    panoptic_head=dict(**counts, loss_cls=dict(class_weight=[1.0] * (num_things + num_stuff) + [0.1])),
    panoptic_fusion_head=counts,
)
changed = dict(
    LoadImageFromFile=_base_.loaded,
    RandomResize=dict(scale=image_size),
    RandomCrop=dict(crop_size=image_size),
    # At 1024 x 1024 the recipe tests at another size.
    Resize=dict(scale=(1333, 800) if image_size == (1024, 1024) else image_size),
)
# mmengine marks with _scope_ what a config takes from another package's.
train_pipeline, test_pipeline = (
    [{**{key: step[key] for key in step if key != '_scope_'}, **changed.get(step.type, {})} for step in steps]
    for steps in (_base_.train_pipeline, _base_.test_pipeline)
)
dataset = dict(data_root=data_root)
if not of_coco:
    names = dict(classes=thing_classes + stuff_classes, thing_classes=thing_classes, stuff_classes=stuff_classes)
    dataset.update(metainfo=names)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    dataset=dict(
        **dataset,
        ann_file=train_ann_file,
        data_prefix=train_data_prefix,
        pipeline=train_pipeline,
        # The recipe's, which leaves out images without a thing; a set of stuff alone has no others.
        filter_cfg=dict(filter_empty_gt=num_things > 0, min_size=32),
    ),
)
val_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(**dataset, ann_file=val_ann_file, data_prefix=val_data_prefix, pipeline=test_pipeline),
)
test_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(**dataset, ann_file=test_ann_file, data_prefix=test_data_prefix, pipeline=test_pipeline),
)
val_evaluator, test_evaluator = (
    [
        dict(
            type='CocoPanopticMetric',
            ann_file=os.path.join(data_root, file),
            seg_prefix=os.path.join(data_root, folders.get('seg', '')),
        ),
        *([_base_.val_evaluator[1]] if of_coco and file == 'annotations/panoptic_val2017.json' else []),
    ]
    for file, folders in ((val_ann_file, val_data_prefix), (test_ann_file, test_data_prefix))
)
for evaluators in (val_evaluator, test_evaluator):
    for evaluator in evaluators[1:]:
        evaluator.update(ann_file=os.path.join(data_root, 'annotations/instances_val2017.json'))

# A run of another length keeps the places of all; it has at most 20 validations, an epoch or more apart.
of_recipe = max_iters == 368750
val_interval = 5000 if of_recipe else min(max_iters, max(epoch_length, -(-max_iters // 20)))
train_cfg = dict(
    max_iters=max_iters,
    val_interval=val_interval,
    dynamic_intervals=[(365001, max_iters)] if of_recipe else None,
)
milestones = [max(1, round(max_iters * place / 368750)) for place in (327778, 355092)]
# A list, as of all other configs, in place of the base's dict.
param_scheduler = [
    dict(type='MultiStepLR', begin=0, end=max_iters, by_epoch=False, milestones=milestones, gamma=0.1),
]
optim_wrapper = dict(
    optimizer=dict(lr=learning_rate),
    constructor='GroupedOptimWrapperConstructor',
    paramwise_cfg=dict(custom_keys=_base_.backbone_keys),
)
default_hooks = dict(
    **_base_.hooks, checkpoint=dict(interval=val_interval, save_best='coco_panoptic/PQ', rule='greater')
)
