# Faster R-CNN around Hiera, for boxes without masks: the Mask R-CNN of this suite (its sources are in
# mask_rcnn_hiera.py) without the mask head.
_base_ = './mask_rcnn_hiera.py'

model = dict(type='FasterRCNN', roi_head=dict(mask_roi_extractor=None, mask_head=None))
