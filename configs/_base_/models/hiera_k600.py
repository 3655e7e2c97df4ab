# As on Kinetics-400, with the classes of Kinetics-600.
_base_ = './hiera_k400.py'

num_classes = 600
model = dict(cls_head=dict(num_classes=num_classes))
