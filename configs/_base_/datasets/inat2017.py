# iNaturalist-2017 as published: data/inat2017/{train,val}2017.json, whose names of images begin inside data/inat2017.
# Augmentation: ImageNet's (the paper, appendix A.2, says that it follows MAE's transfer experiments).
_base_ = './imagenet.py'

data_root = 'data/inat2017/'
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='train2017.json', data_prefix=dict(img='')))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='val2017.json', data_prefix=dict(img='')))
test_dataloader = val_dataloader
