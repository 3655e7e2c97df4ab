"""Segmentation of volumes such as CT and MRI."""

from hiera_mm.tasks.volumes.task import VolumesTask
from hiera_mm.tasks.volumes.volume_segmenter import VolumeSegmentation, VolumeSegmenter

__all__ = ['TASK', 'VolumeSegmentation', 'VolumeSegmenter', 'VolumesTask']

TASK = VolumesTask()
