# Hiera-S learns the maps of SAM 2.1's trunk, a Hiera-L, on ImageNet-1K without labels: 300 epochs at batch 2048, from
# random weights.
# Values: as in distill_hiera_t_from_l.py. The student attends in windows and has the tables of the suite's detectors
# (mask_rcnn_hiera_s.py). Images of 512 pixels, between those of ImageNet and the 1024 of SAM 2 (ours). No result is
# known.
# Weights of the teacher: Meta's, Apache-2.0 (commercial use allowed).
_base_ = [
    './_base_/models/distill_hiera.py',
    './_base_/datasets/imagenet_distillation.py',
    './_base_/schedules/distill_300e.py',
]

image_size = 512
batch_size = 16
teacher_weights = 'sam2.1_hiera_l'
model = dict(
    backbone=dict(
        arch='s', pos_embed='absolute_win', window_sizes=(8, 4, 16, 8), global_blocks=(7, 10, 13), drop_path_rate=0.0
    ),
    teacher=dict(
        arch='l',
        pos_embed='absolute_win',
        pos_embed_size=7,
        window_sizes=(8, 4, 16, 8),
        global_blocks=(23, 33, 43),
        init_cfg=teacher_weights and dict(type='Pretrained', checkpoint=teacher_weights),
    ),
)

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(size=image_size)
test_pipeline = _base_.test_pipeline
test_pipeline[1].update(size=image_size * 256 // 224)
test_pipeline[2].update(size=image_size)
train_dataloader = dict(batch_size=batch_size, dataset=dict(pipeline=train_pipeline))
val_dataloader = _base_.val_dataloader and dict(dataset=dict(pipeline=test_pipeline))
