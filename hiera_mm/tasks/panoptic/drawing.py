"""Drawings of a test of a panoptic model."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.inference.test_drawings import DrawTestHook
from hiera_mm.tasks.panoptic.results import draw_segments, prediction_of, segmentation_of
from hiera_mm.tasks.panoptic.truth import infos_by_id, truth_of

import numpy as np
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class DrawPanopticHook(DrawTestHook):
    """Draws things and stuff."""

    def before_test(self, runner: Runner) -> None:
        """Remember what the test set knows of its images."""
        dataset = runner.test_dataloader.dataset
        self._infos, self._things = infos_by_id(dataset), len(dataset.metainfo['thing_classes'])

    def draw(self, image: np.ndarray, sample: Any, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        truth = truth_of(self._infos[sample.img_id])
        if truth is None:
            raise UserError(
                f"--show-dir draws the ground truth beside the prediction, but '{sample.img_path}' has no annotation; "
                'draw the predictions alone by hiera-mm predict.'
            )
        return (
            draw_segments(image, segmentation_of(truth, names, self._things)),
            draw_segments(image, prediction_of(sample, names, self._things)),
        )
