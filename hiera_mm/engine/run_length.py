"""The length of a run by iterations that is set in epochs."""

import math
import os
from collections.abc import Sequence
from typing import Protocol

from hiera_mm.checks.fault import unwrapped
from hiera_mm.errors import UserError
from hiera_mm.settings import given_settings, read_config

from mmengine.config import Config, ConfigDict

FOLLOWING = ('max_iters', 'epoch_length', 'train_cfg', 'param_scheduler', 'default_hooks')
"""What depends on the length, at the top of a config."""


class CountedTask(Protocol):
    """A task as far as its images are counted."""

    def count_images(self, key: str, dataset: ConfigDict) -> int | None: ...


def set_run_length(config: Config, task: CountedTask, path: str, options: Sequence[str] = ()) -> None:
    """Count the training images where the user set the length of a run by iterations: ``epochs`` are so many
    iterations, and validations are at least an epoch apart.

    Args:
        config: As :func:`hiera_mm.settings.read_config` has read it, to change.
        task: Its task.
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
    images = training_images(config, task)
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


def training_images(config: Config, task: CountedTask) -> int | None:
    """How many images an epoch of training has; None where that is not known without building the data set."""
    counted = [
        task.count_images(key, dataset)
        for key, dataset in unwrapped('train_dataloader.dataset', config.train_dataloader.dataset)
    ]
    return None if None in counted else sum(filter(None, counted))


def global_batch(config: Config) -> int:
    """Images that all processes together take in an iteration."""
    return config.train_dataloader.batch_size * int(os.environ.get('WORLD_SIZE', 1))
