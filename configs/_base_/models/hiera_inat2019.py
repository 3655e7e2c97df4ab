# As hiera_in1k.py for the 1010 classes of iNaturalist-2019.
_base_ = './hiera_in1k.py'

num_classes = 1010
model = dict(cls_head=dict(num_classes=num_classes))
