"""Classification of images and clips, by mmaction2's recognisers."""

from hiera_mm.tasks.classification.classifier import Classification, Classifier
from hiera_mm.tasks.classification.task import ClassificationTask

__all__ = ['TASK', 'Classification', 'ClassificationTask', 'Classifier']

TASK = ClassificationTask()
