"""Masked autoencoding of images, clips and volumes."""

from hiera_mm.tasks.autoencoding.reconstruction import Reconstruction, Reconstructor
from hiera_mm.tasks.autoencoding.task import AutoencodingTask

__all__ = ['TASK', 'AutoencodingTask', 'Reconstruction', 'Reconstructor']

TASK = AutoencodingTask()
