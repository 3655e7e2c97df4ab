# iNaturalist-2019 as published: data/inat2019/{train,val}2019.json, whose names of images begin inside data/inat2019.
# Augmentation: ImageNet's (the paper, appendix A.2, says that it follows MAE's transfer experiments).
_base_ = './imagenet.py'

data_root = 'data/inat2019/'
train_dataloader = dict(dataset=dict(data_root=data_root, ann_file='train2019.json', data_prefix=dict(img='')))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='val2019.json', data_prefix=dict(img='')))
test_dataloader = val_dataloader
