# As hiera_in1k.py for the 5089 classes of iNaturalist-2017.
_base_ = './hiera_in1k.py'

num_classes = 5089
augments = _base_.model.data_preprocessor.blending.augments
augments[0].update(num_classes=num_classes)
augments[1].update(num_classes=num_classes)
model = dict(
    cls_head=dict(num_classes=num_classes),
    data_preprocessor=dict(blending=dict(augments=augments)),
)
