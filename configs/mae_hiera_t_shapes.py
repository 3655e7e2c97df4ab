# Masked autoencoding of Hiera-T on generated images of 128 pixels, on a laptop's CPU; mask_rcnn_hiera_t_shapes_mae.py
# starts from it. All values are ours. Against mae_hiera_t.py only what makes it quick differs: a small decoder, whole
# images of 96 to 128 pixels, and a short schedule whose rate falls with the root of time, so that it can be lengthened.
_base_ = './mae_hiera_t.py'

data_root = 'data/unlabelled_shapes/'
size = 128
model = dict(
    backbone=dict(pos_embed_size=size // 4),
    input_size=(size, size),
    decoder_embed_dim=192,
    decoder_depth=4,
    decoder_num_heads=6,
)

train_pipeline = _base_.train_pipeline
# Images are smaller; the rest becomes black.
train_pipeline[1] = dict(type='TorchvisionTransform', name='CenterCrop', size=size)
test_pipeline = [step for step in train_pipeline if step['type'] != 'Flip']
train_dataloader = dict(batch_size=64, num_workers=1, dataset=dict(data_root=data_root, pipeline=train_pipeline))

# 63 iterations an epoch of 4000 images.
epochs, warm_up, cool_down = 3, 0.25, 1.5
train_cfg = dict(max_epochs=epochs)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=warm_up, convert_to_iter_based=True),
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
default_hooks = dict(checkpoint=dict(interval=1), logger=dict(interval=10))
