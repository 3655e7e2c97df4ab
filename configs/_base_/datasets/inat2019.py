# iNaturalist-2019 as published: data/inat2019/{train,val}2019.json, whose names of images begin inside data/inat2019.
# Augmentation: ImageNet's (the paper, appendix A.2, says that it follows MAE's transfer experiments).
_base_ = './imagenet.py'

data_root = 'data/inat2019/'
train_ann_file = 'train2019.json'
train_data_prefix = dict(img='')
val_ann_file = 'val2019.json'
val_data_prefix = dict(img='')
test_ann_file = val_ann_file
test_data_prefix = val_data_prefix

train_dataloader = dict(dataset=dict(data_root=data_root, ann_file=train_ann_file, data_prefix=train_data_prefix))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file=val_ann_file, data_prefix=val_data_prefix))
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file=test_ann_file, data_prefix=test_data_prefix))
