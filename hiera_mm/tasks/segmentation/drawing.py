"""Drawings of a test of a segmentor."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hiera_mm.inference.prediction import with_ending
from hiera_mm.inference.test_drawings import DrawTestHook
from hiera_mm.tasks.segmentation.results import Segmentation, draw_regions

import numpy as np
from mmengine.registry import HOOKS


@HOOKS.register_module()
class DrawRegionsHook(DrawTestHook):
    """Draws the classes of all pixels; pixels that are not scored stay as they are."""

    def draw(self, image: np.ndarray, sample: Any, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        truth, found = (
            part.data[0].cpu().numpy().astype(np.uint8) for part in (sample.gt_sem_seg, sample.pred_sem_seg)
        )
        return draw_regions(image, Segmentation(truth, names)), draw_regions(image, Segmentation(found, names))

    def file_name(self, name: str) -> str:
        return with_ending(Path(name), '.png').as_posix()
