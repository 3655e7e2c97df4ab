"""Using trained models: a file in, predictions and pictures out."""

from hiera_mm.inference.action_detector import ActionDetector, PersonFinder
from hiera_mm.inference.backbone import backbone
from hiera_mm.inference.classifier import Classifier
from hiera_mm.inference.detector import Detector, Tiles
from hiera_mm.inference.predictor import load
from hiera_mm.inference.reconstruction import Reconstructor
from hiera_mm.inference.results import Classification, Detections, Segmentation, VolumeSegmentation
from hiera_mm.inference.segmenter import Segmenter
from hiera_mm.inference.volume_segmenter import VolumeSegmenter

__all__ = [
    'ActionDetector',
    'Classification',
    'Classifier',
    'Detections',
    'Detector',
    'PersonFinder',
    'Reconstructor',
    'Segmentation',
    'Segmenter',
    'Tiles',
    'VolumeSegmentation',
    'VolumeSegmenter',
    'backbone',
    'load',
]
