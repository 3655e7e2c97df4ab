# Places365-Standard, the images of 256 pixels with the published lists: data/places365/{data_256,val_256} and
# data/places365/places365_{train_standard,val}.txt. Augmentation: ImageNet's (the paper, appendix A.2, says that it
# follows MAE's transfer experiments).
_base_ = './imagenet.py'

data_root = 'data/places365/'
train_ann_file = 'places365_train_standard.txt'
train_data_prefix = dict(img='data_256')
val_ann_file = 'places365_val.txt'
val_data_prefix = dict(img='val_256')
test_ann_file = val_ann_file
test_data_prefix = val_data_prefix

train_dataloader = dict(dataset=dict(data_root=data_root, ann_file=train_ann_file, data_prefix=train_data_prefix))
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file=val_ann_file, data_prefix=val_data_prefix))
test_dataloader = dict(dataset=dict(data_root=data_root, ann_file=test_ann_file, data_prefix=test_data_prefix))
