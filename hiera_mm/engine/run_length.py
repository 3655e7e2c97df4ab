"""The length of a run by iterations that is set in epochs."""

import math
import os
from collections.abc import Sequence

from hiera_mm.checks.fault import class_of, unwrapped
from hiera_mm.errors import UserError
from hiera_mm.readers.coco_files import read_annotations
from hiera_mm.settings import given_settings, read_config

from mmengine.config import Config, ConfigDict

FOLLOWING = ('max_iters', 'epoch_length', 'train_cfg', 'param_scheduler', 'default_hooks')
"""What depends on the length, at the top of a config."""


def set_run_length(config: Config, path: str, options: Sequence[str] = ()) -> None:
    """Count the training images where the user set the length of a run by iterations: ``epochs`` are so many
    iterations, and validations are at least an epoch apart.

    Args:
        config: As :func:`hiera_mm.settings.read_config` has read it, to change.
        path, options: What it was read from.

    Raises:
        UserError: for ``epochs`` of a training set whose images can't be counted.
    """
    if 'epoch_length' not in config:
        # A run by epochs, or none of the suite's.
        return
    given = given_settings(path, options)
    if given.keys().isdisjoint({'epochs', 'max_iters'}):
        return
    images = training_images(config)
    if 'epochs' in given and not images:
        raise UserError(
            'epochs at the top of the config needs a training set whose images can be counted; set max_iters.'
        )
    counted = dict(epoch_length=math.ceil(images / global_batch(config))) if images else {}
    if 'epochs' in given and images:
        counted['max_iters'] = max(1, math.ceil(given['epochs'] * images / global_batch(config)))
    longer = read_config(path, options, counted)
    for name in FOLLOWING:
        config[name] = longer[name]


def training_images(config: Config) -> int | None:
    """How many images an epoch of training has; None where that is not known without building the data set."""
    count = _count_of_masks if config.default_scope == 'mmseg' else _count_of_annotated
    counted = [count(*part) for part in unwrapped('train_dataloader.dataset', config.train_dataloader.dataset)]
    return None if None in counted else sum(filter(None, counted))


def _count_of_masks(key: str, dataset: ConfigDict) -> int | None:
    from hiera_mm.checks.masks import pairs_of, reads_masks

    kind = class_of(dataset, 'mmseg')
    if kind is None or not reads_masks(kind) or dataset.get('backend_args'):
        return None
    return len(pairs_of(dataset, kind))


def _count_of_annotated(key: str, dataset: ConfigDict) -> int | None:
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


def global_batch(config: Config) -> int:
    """Images that all processes together take in an iteration."""
    return config.train_dataloader.batch_size * int(os.environ.get('WORLD_SIZE', 1))
