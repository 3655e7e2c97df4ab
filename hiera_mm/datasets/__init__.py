"""Data sets and transforms that register in mmengine's root registries, those for COCO's files in mmdet's."""

import importlib.util

from hiera_mm.datasets import channel_distortion, coco, load_annotations, load_image, panoptic, volumes  # noqa: F401

if importlib.util.find_spec('mmaction') is not None:
    from hiera_mm.datasets import ava, images, transforms, video  # noqa: F401

if importlib.util.find_spec('mmseg') is not None:
    from hiera_mm.datasets import segmentation  # noqa: F401
