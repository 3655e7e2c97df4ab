"""Sets the length of an iteration-based run in epochs."""

import math
import os
from collections.abc import Sequence
from typing import Protocol

from hiera_mm.checks.fault import unwrapped
from hiera_mm.errors import UserError
from hiera_mm.settings import given_settings, read_config, remember

from mmengine.config import Config, ConfigDict

DEPENDENT_SETTINGS = ('max_iters', 'epoch_length', 'train_cfg', 'param_scheduler', 'default_hooks')
"""Top-level settings of a config that depend on the length."""


class CountedTask(Protocol):
    """The part of a task that counting images needs."""

    def count_images(self, key: str, dataset: ConfigDict) -> int | None: ...


def set_run_length(config: Config, task: CountedTask, path: str, options: Sequence[str] = ()) -> None:
    """If the user set the length of an iteration-based run, count the training images: ``epochs`` are converted to
    iterations, and validations are at least an epoch apart.

    Args:
        config: The config from :func:`hiera_mm.settings.read_config`; it is changed.
        task: Its task.
        path, options: The file and options that it was read from.

    Raises:
        UserError: for ``epochs`` with a training set whose images can't be counted.
    """
    if 'epoch_length' not in config:
        # A run by epochs, or a config from elsewhere.
        return
    given = given_settings(path, options)
    if given.keys().isdisjoint({'epochs', 'max_iters'}):
        return
    images = training_images(config, task)
    if 'epochs' in given and not images:
        raise UserError(
            'epochs at the top of the config needs a training set whose images can be counted; set max_iters.'
        )
    counted = length_constants(images, global_batch(config), given.get('epochs')) if images else {}
    longer = read_config(path, options, counted)
    for name in DEPENDENT_SETTINGS:
        config[name] = longer[name]
    remember(config, given, counted=True)


def length_constants(images: int, batch: int, epochs: float | None) -> dict[str, int]:
    """The constants of a config that follow from the number of training images.

    Args:
        images: Images in an epoch.
        batch: Images per iteration over all processes.
        epochs: The length of the run, if it is set in epochs.
    """
    constants = dict(epoch_length=math.ceil(images / batch))
    return constants if epochs is None else constants | dict(max_iters=max(1, math.ceil(epochs * images / batch)))


def training_images(config: Config, task: CountedTask) -> int | None:
    """Images in an epoch of training; None if that is unknown without building the data set."""
    counted = [
        task.count_images(key, dataset)
        for key, dataset in unwrapped('train_dataloader.dataset', config.train_dataloader.dataset)
    ]
    return None if None in counted else sum(filter(None, counted))


def global_batch(config: Config) -> int:
    """Images per iteration over all processes."""
    return config.train_dataloader.batch_size * int(os.environ.get('WORLD_SIZE', 1))
