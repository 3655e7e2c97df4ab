# iNaturalist-2018 as published: data/inat2018/{train,val}2018.json, whose names of images begin inside data/inat2018.
# Augmentation: ImageNet's (the paper, appendix A.2, says that it follows MAE's transfer experiments).
_base_ = './imagenet.py'

data_root = 'data/inat2018/'
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='train2018.json', data_prefix=dict(img='')))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='val2018.json', data_prefix=dict(img='')))
test_dataloader = val_dataloader
