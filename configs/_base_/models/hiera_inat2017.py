# As hiera_in1k.py for the 5089 classes of iNaturalist-2017.
_base_ = './hiera_in1k.py'

num_classes = 5089
model = dict(cls_head=dict(num_classes=num_classes))
