"""Checks of a detector's evaluators, and counting its training images."""

import os
from collections.abc import Callable, Iterator

from hiera_mm.checks import coco
from hiera_mm.checks.fault import Fault
from hiera_mm.readers.coco_files import read_annotations
from hiera_mm.tasks.detection.heads import predicts_masks

from mmdet.evaluation import CocoMetric
from mmengine.config import Config, ConfigDict


def faults_of_evaluator(
    key: str, evaluator: ConfigDict, metric_type: type, config: Config, read: Callable
) -> Iterator[Fault]:
    """Faults of one of COCO's metrics; see :meth:`hiera_mm.tasks.task.Task.faults_of_evaluator`."""
    if issubclass(metric_type, CocoMetric):
        # Only for two-stage detectors is it certain that there are no masks.
        masks = predicts_masks(config.model) or 'roi_head' not in config.model
        yield from coco.faults_of_metric(key, evaluator, config, read, masks)


def count_images(key: str, dataset: ConfigDict) -> int | None:
    """How many images of a data set are used in training, by its annotation file; None without a local file."""
    if dataset.get('backend_args') or not dataset.get('ann_file'):
        return None
    file = read_annotations(os.path.join(dataset.get('data_root') or '', dataset.ann_file), f'{key}.ann_file')
    chosen = dataset.get('metainfo', {}).get('classes')
    names = {category['id'] for category in file.categories if not chosen or category['name'] in chosen}
    settings = dataset.get('filter_cfg') or {}
    annotated = {a['image_id'] for a in file.annotations if a['category_id'] in names}
    smallest = settings.get('min_size', 0)
    return sum(
        (not settings.get('filter_empty_gt') or image['id'] in annotated)
        and min(image.get('width', smallest), image.get('height', smallest)) >= smallest
        for image in file.images
    )
