# As on Kinetics-400, with the classes of Something-Something v2.
_base_ = './hiera_k400.py'

num_classes = 174
model = dict(cls_head=dict(num_classes=num_classes))
