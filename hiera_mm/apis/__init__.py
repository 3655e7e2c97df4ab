"""Inferencers: a file in, predictions and pictures out."""

from hiera_mm.apis.action_detector import ActionDetector
from hiera_mm.apis.reconstruction import Reconstructor

__all__ = ['ActionDetector', 'Reconstructor']
