# Mask2Former (arXiv 2112.01527) on COCO's things and stuff as mmdet has it: the heads, the recipe of 50 epochs at batch
# 16 with large-scale jitter at 1024 x 1024, the backbone at a tenth of the rate. Panoptic quality, by which the best
# checkpoint is kept beside the last three, needs the package panopticapi.
import os

_base_ = ['mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py', './mask2former_hiera.py']

data_root = 'data/coco/'
train_ann_file = 'annotations/panoptic_train2017.json'
train_data_prefix = dict(img='train2017/', seg='annotations/panoptic_train2017/')
val_ann_file = 'annotations/panoptic_val2017.json'
val_data_prefix = dict(img='val2017/', seg='annotations/panoptic_val2017/')
test_ann_file = val_ann_file
test_data_prefix = val_data_prefix
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
model = dict(data_preprocessor=dict(batch_augments=batch_augments), backbone=_base_.hiera)
sizes = dict(
    RandomResize=dict(scale=image_size),
    RandomCrop=dict(crop_size=image_size),
    # At 1024 x 1024 the recipe tests at another size.
    Resize=dict(scale=(1333, 800) if image_size == (1024, 1024) else image_size),
)
# mmengine marks with _scope_ what a config takes from another package's.
train_pipeline, test_pipeline = (
    [{**{key: step[key] for key in step if key != '_scope_'}, **sizes.get(step.type, {})} for step in steps]
    for steps in (_base_.train_pipeline, _base_.test_pipeline)
)
dataset = dict(data_root=data_root)
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=num_workers,
    dataset=dict(**dataset, ann_file=train_ann_file, data_prefix=train_data_prefix, pipeline=train_pipeline),
)
val_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(**dataset, ann_file=val_ann_file, data_prefix=val_data_prefix, pipeline=test_pipeline),
)
test_dataloader = dict(
    num_workers=num_workers,
    dataset=dict(**dataset, ann_file=test_ann_file, data_prefix=test_data_prefix, pipeline=test_pipeline),
)
val_evaluator, test_evaluator = _base_.val_evaluator, _base_.test_evaluator
for evaluator, file, folders in (
    (val_evaluator, val_ann_file, val_data_prefix),
    (test_evaluator, test_ann_file, test_data_prefix),
):
    evaluator[0].update(ann_file=os.path.join(data_root, file), seg_prefix=os.path.join(data_root, folders['seg']))
    evaluator[1].update(ann_file=os.path.join(data_root, 'annotations/instances_val2017.json'))

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
default_hooks = dict(**_base_.hooks, checkpoint=dict(interval=val_interval, save_best='coco_panoptic/PQ'))
