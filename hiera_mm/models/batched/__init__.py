"""Two-stage detectors of mmdet that train a whole batch at once.

mmdet assigns, samples and proposes image by image and asks the device each time how much it has found, so that GPU and
processor wait for each other. These heads do the same for all images together, padded to one count. They need nothing
of Hiera: any detector of mmdet can name them.
"""

from hiera_mm.models.batched.detector import CascadeRCNN, FasterRCNN, MaskRCNN
from hiera_mm.models.batched.roi_heads import BatchedCascadeRoIHead, BatchedRoIHead
from hiera_mm.models.batched.rpn_head import BatchedRPNHead

__all__ = [
    'BatchedCascadeRoIHead',
    'BatchedRPNHead',
    'BatchedRoIHead',
    'CascadeRCNN',
    'FasterRCNN',
    'MaskRCNN',
]
