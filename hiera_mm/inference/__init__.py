"""Using models of all tasks: loading, predicting, file formats, reports, publishing and the web page."""

import importlib

MOVED_NAMES = dict(
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
"""Names that version 0.1 had in this module, with their new modules."""


def __getattr__(name: str) -> object:
    """Keep the names of version 0.1 importable from here."""
    if name in MOVED_NAMES:
        return getattr(importlib.import_module(f'hiera_mm.{MOVED_NAMES[name]}'), name)
    raise AttributeError(f"module 'hiera_mm.inference' has no attribute '{name}'")
