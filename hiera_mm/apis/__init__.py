"""Inferencers: a file in, predictions and pictures out."""

from hiera_mm.apis.action_detector import ActionDetector

__all__ = ['ActionDetector']
