# As unetr_hiera_b_btcv.py, but in crops of 128^3. Ours: stages 3 and 4 attend in windows of 64 x 64 pixels and 32
# slices, apart from three global blocks where SAM 2 has its own, as attention to all of 4096 tokens grows with their
# square. Weights: Meta's, CC BY-NC 4.0 (no commercial use).
_base_ = './unetr_hiera_b_btcv.py'

crop_size = (128, 128, 128)
model = dict(
    backbone=dict(num_frames=crop_size[2], window_sizes=(8, 4, 4, 2), window_frames=32, global_blocks=(12, 16, 20)),
    test_cfg=dict(crop_size=crop_size[::-1]),
)

train_pipeline, test_pipeline = _base_.train_pipeline, _base_.test_pipeline
for step in [*train_pipeline, *test_pipeline]:
    if 'spatial_size' in step:
        step['spatial_size'] = crop_size
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
