"""Semantic segmentation, by mmsegmentation's models."""

from hiera_mm.tasks.segmentation.results import Segmentation
from hiera_mm.tasks.segmentation.segmenter import Segmenter
from hiera_mm.tasks.segmentation.task import SegmentationTask

__all__ = ['TASK', 'Segmentation', 'SegmentationTask', 'Segmenter']

TASK = SegmentationTask()
