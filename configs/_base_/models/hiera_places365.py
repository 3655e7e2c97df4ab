# As hiera_in1k.py for the 365 classes of Places365.
_base_ = './hiera_in1k.py'

num_classes = 365
model = dict(cls_head=dict(num_classes=num_classes))
