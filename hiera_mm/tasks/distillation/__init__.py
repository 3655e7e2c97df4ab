"""Distillation of large backbones into small ones."""

from hiera_mm.tasks.distillation.task import DistillationTask

__all__ = ['TASK', 'DistillationTask']

TASK = DistillationTask()
