"""Detection and instance segmentation, by mmdet's models."""

from hiera_mm.tasks.detection.detector import Detector
from hiera_mm.tasks.detection.results import Detections
from hiera_mm.tasks.detection.task import DetectionTask
from hiera_mm.tasks.detection.tiles import Tiles

__all__ = ['TASK', 'DetectionTask', 'Detections', 'Detector', 'Tiles']

TASK = DetectionTask()
