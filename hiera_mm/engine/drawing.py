"""Pictures of what a segmentor finds in testing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hiera_mm.datasets.load_image import LoadImageFromFile

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class DrawRegionsHook(Hook):
    """Writes each tested picture twice, with the classes of its mask on the left and those found on the right, by
    mmsegmentation's visualiser.

    Args:
        folder: Where to; files are named as the pictures, those of inner folders with their folder's name.
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
