# As hiera_in1k.py for the 8142 classes of iNaturalist-2018.
_base_ = './hiera_in1k.py'

num_classes = 8142
model = dict(cls_head=dict(num_classes=num_classes))
