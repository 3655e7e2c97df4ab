"""Panoptic segmentation: things, which are counted, and stuff, by mmdet's models."""

from hiera_mm.tasks.panoptic.results import PanopticSegmentation, Segment
from hiera_mm.tasks.panoptic.segmenter import PanopticSegmenter
from hiera_mm.tasks.panoptic.task import PanopticTask

__all__ = ['TASK', 'PanopticSegmentation', 'PanopticSegmenter', 'PanopticTask', 'Segment']

TASK = PanopticTask()
