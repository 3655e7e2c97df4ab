"""Drawings of a test's predictions, each under its image's own path."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hiera_mm.datasets.load_image import LoadImageFromFile

from mmdet.engine.hooks import DetVisualizationHook
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class DrawObjectsHook(DetVisualizationHook):
    """mmdet's ``DetVisualizationHook``, but images of one name in different folders have drawings of their own."""

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Draw the samples of a batch."""
        folder: str = self.test_out_dir  # type: ignore[has-type]
        for sample in outputs or ():
            self.test_out_dir = os.path.dirname(os.path.join(folder, _name_in_set(runner, sample.img_path)))
            super().after_test_iter(runner, batch_idx, data_batch, [sample])
        self.test_out_dir = folder


@HOOKS.register_module()
class DrawRegionsHook(Hook):
    """Draws each tested image with its ground truth on the left and the prediction on the right, using mmsegmentation's
    visualiser.

    Args:
        folder: Output folder; a file's name is the image's path in its set, with ``.png`` behind another ending.
    """

    def __init__(self, folder: str) -> None:
        self.folder, self._load = Path(folder), LoadImageFromFile()

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Draw the samples of a batch."""
        for sample in outputs or ():
            loaded: Any = self._load.transform(dict(img_path=sample.img_path))
            path = self.folder / _name_in_set(runner, sample.img_path)
            path = path if path.suffix == '.png' else path.with_name(f'{path.name}.png')
            path.parent.mkdir(parents=True, exist_ok=True)
            runner.visualizer.add_datasample(path.name, loaded['img'][..., ::-1], sample, out_file=str(path))


def _name_in_set(runner: Runner, path: str) -> str:
    """An image's path below the folder of its test set; for one elsewhere, its whole path without the root."""
    dataset = runner.test_dataloader.dataset
    folders = getattr(dataset, 'data_prefix', {}).values()
    for folder in (os.path.abspath(folder) for folder in folders if isinstance(folder, str)):
        name = os.path.relpath(os.path.abspath(path), folder)
        if not name.startswith('..'):
            return name
    return os.path.abspath(path).lstrip(os.sep)
