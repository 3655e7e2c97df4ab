"""Inferencers: a file in, predictions and pictures out."""

from hiera_mm.inference.action_detector import ActionDetector
from hiera_mm.inference.reconstruction import Reconstructor

__all__ = ['ActionDetector', 'Reconstructor']
