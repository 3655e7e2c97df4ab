"""What is wrong with a detector's evaluators."""

import importlib.util
from collections.abc import Callable, Iterator

from hiera_mm.checks import coco
from hiera_mm.checks.fault import Fault, Severity
from hiera_mm.tasks.detection.heads import predicts_masks

from mmdet.evaluation import CocoMetric, CocoPanopticMetric
from mmengine.config import Config, ConfigDict


def faults_of_evaluator(key: str, evaluator: ConfigDict, kind: type, config: Config, read: Callable) -> Iterator[Fault]:
    """Faults of one of COCO's metrics; see :meth:`hiera_mm.tasks.task.Task.faults_of_evaluator`."""
    if issubclass(kind, CocoPanopticMetric):
        if importlib.util.find_spec('panopticapi') is None:
            yield Fault(
                Severity.BLOCKS,
                f'{key} scores panoptic quality, for which mmdet needs the package panopticapi; run: pip install '
                'git+https://github.com/cocodataset/panopticapi.git',
            )
    elif issubclass(kind, CocoMetric):
        # Only two-stage detectors are known well enough to say that there are no masks.
        masks = predicts_masks(config.model) or 'roi_head' not in config.model
        yield from coco.faults_of_metric(key, evaluator, config, read, masks)
