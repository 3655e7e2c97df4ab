# Places365-Standard, the images of 256 pixels with the published lists: data/places365/{data_256,val_256} and
# data/places365/places365_{train_standard,val}.txt. Augmentation: ImageNet's (the paper, appendix A.2, says that it
# follows MAE's transfer experiments).
_base_ = './imagenet.py'

data_root = 'data/places365/'
train_dataloader = dict(
    dataset=dict(data_root=data_root, ann_file='places365_train_standard.txt', data_prefix=dict(img='data_256'))
)
val_dataloader = dict(dataset=dict(data_root=data_root, ann_file='places365_val.txt', data_prefix=dict(img='val_256')))
test_dataloader = val_dataloader
