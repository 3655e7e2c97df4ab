"""What using models has in common: loading, predicting, file formats, reports, publishing and the web page."""

import importlib

MOVED = dict(
    ActionDetector='tasks.actions',
    Classification='tasks.classification',
    Classifier='tasks.classification',
    Detections='tasks.detection',
    Detector='tasks.detection',
    PersonFinder='tasks.actions',
    Segmentation='tasks.segmentation',
    Segmenter='tasks.segmentation',
    Tiles='tasks.detection',
    VolumeSegmentation='tasks.volumes',
    VolumeSegmenter='tasks.volumes',
    backbone='inference.load_backbone',
    load='tasks',
)
"""Names that 0.1 had here, and where they are now."""


def __getattr__(name: str) -> object:
    """The names that 0.1 had here, for programs that were written with it."""
    if name in MOVED:
        return getattr(importlib.import_module(f'hiera_mm.{MOVED[name]}'), name)
    raise AttributeError(f"module 'hiera_mm.inference' has no attribute '{name}'")
