# As on Kinetics-400, with the classes of Kinetics-700.
_base_ = './hiera_k400.py'

num_classes = 700
model = dict(
    cls_head=dict(num_classes=num_classes),
    data_preprocessor=dict(
        blending=dict(
            augments=[
                dict(type='MixupBlending', alpha=0.8, num_classes=num_classes),
                dict(type='CutmixBlending', alpha=1.0, num_classes=num_classes),
            ]
        )
    ),
)
