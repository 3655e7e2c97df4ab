"""Drawings of a test: each image with its ground truth on the left and the prediction on the right."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hiera_mm.datasets.load_image import LoadImageFromFile
from hiera_mm.inference.images import reader_of
from hiera_mm.inference.prediction import write_image
from hiera_mm.readers.channels import visible

import numpy as np
from mmengine.hooks import Hook
from mmengine.runner import Runner


class DrawTestHook(Hook):
    """Draws each tested image; a task defines how.

    Args:
        folder: Output folder; a file's name is the image's path in its set.
    """

    def __init__(self, folder: str) -> None:
        self.folder, self._load = Path(folder), LoadImageFromFile()

    def draw(self, image: np.ndarray, sample: Any, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The image, RGB ``(H, W, 3)``, with the ground truth and with the prediction of a sample.

        Args:
            image: The image.
            sample: The model's output for it.
            names: The classes.
        """
        raise NotImplementedError

    def file_name(self, name: str) -> str:
        """The name of the drawing of an image."""
        return name

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Draw the samples of a batch."""
        names = runner.test_dataloader.dataset.metainfo['classes']
        for sample in outputs or ():
            pair = self.draw(self._shown(runner, sample.img_path), sample, names)
            path = self.folder / self.file_name(_name_in_set(runner, sample.img_path))
            write_image(path, np.concatenate(pair, axis=1))

    def _shown(self, runner: Runner, path: str) -> np.ndarray:
        reader = reader_of(runner.test_dataloader.dataset)
        if reader is not None:
            return visible(reader.read(path))
        loaded: Any = self._load.transform(dict(img_path=path))
        return np.ascontiguousarray(loaded['img'][..., ::-1])


def _name_in_set(runner: Runner, path: str) -> str:
    """An image's path below the folder of its test set; for one elsewhere, its whole path without the root."""
    dataset = runner.test_dataloader.dataset
    folders = getattr(dataset, 'data_prefix', {}).values()
    for folder in (os.path.abspath(folder) for folder in folders if isinstance(folder, str)):
        name = os.path.relpath(os.path.abspath(path), folder)
        if not name.startswith('..'):
            return name
    return os.path.abspath(path).lstrip(os.sep)
