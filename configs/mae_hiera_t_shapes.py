# Masked autoencoding of Hiera-T on generated images of 128 pixels, on a laptop's CPU; mask_rcnn_hiera_t_shapes_mae.py
# starts from it. All values are ours. Against mae_hiera_t.py only what makes it quick differs: a small decoder, whole
# images of 96 to 128 pixels, and a short schedule whose rate falls with the root of time, so that it can be lengthened.
_base_ = './mae_hiera_t.py'

data_root = 'data/unlabelled_shapes/'
image_size = 128
batch_size = 64
num_workers = 1
# 63 iterations an epoch of 4000 images.
epochs = 3
learning_rate = 1e-3

model = dict(
    backbone=dict(pos_embed_size=image_size // 4),
    input_size=(image_size, image_size),
    decoder_embed_dim=192,
    decoder_depth=4,
    decoder_num_heads=6,
)

train_pipeline = _base_.train_pipeline
# Images are smaller; the rest becomes black.
train_pipeline[1] = dict(type='TorchvisionTransform', name='CenterCrop', size=image_size)
test_pipeline = [step for step in train_pipeline if step['type'] != 'Flip']
train_dataloader = dict(
    batch_size=batch_size, num_workers=num_workers, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)

val_dataloader = _base_.val_dataloader and dict(
    num_workers=num_workers, dataset=dict(data_root=data_root, pipeline=test_pipeline)
)

# A run of another length keeps the places of all.
warm_up, cool_down = min(0.25, epochs / 12), epochs / 2
train_cfg = dict(max_epochs=epochs, val_interval=max(1, epochs // 20))
optim_wrapper = dict(optimizer=dict(lr=learning_rate))
param_scheduler = [
    dict(type='WarmUpLR', start_factor=0.01, begin=0, end=warm_up, convert_to_iter_based=True),
    dict(
        type='ReciprocalSquareRootLR',
        timescale=epochs,
        cool_down=cool_down,
        begin=warm_up,
        end=epochs,
        convert_to_iter_based=True,
    ),
]
auto_scale_lr = dict(base_batch_size=64)
randomness = dict(seed=0)
default_hooks = dict(checkpoint=dict(interval=max(1, round(epochs / 3))), logger=dict(interval=10))
