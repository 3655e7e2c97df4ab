"""Drawings of a segmentor's test predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hiera_mm.datasets.load_image import LoadImageFromFile

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class DrawRegionsHook(Hook):
    """Draws each tested image with its ground truth on the left and the prediction on the right, using mmsegmentation's
    visualiser.

    Args:
        folder: Output folder; a file's name is the image's folder and name.
    """

    def __init__(self, folder: str) -> None:
        self.folder, self._load = Path(folder), LoadImageFromFile()

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Sequence[Any] | None = None
    ) -> None:
        """Draw the samples of a batch."""
        for sample in outputs or ():
            loaded: Any = self._load.transform(dict(img_path=sample.img_path))
            path = self.folder / f'{Path(sample.img_path).parent.name}_{Path(sample.img_path).stem}.png'
            runner.visualizer.add_datasample(path.name, loaded['img'][..., ::-1], sample, out_file=str(path))
