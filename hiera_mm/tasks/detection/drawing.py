"""Drawings of a test of a detector."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.inference.test_drawings import DrawTestHook
from hiera_mm.inference.visualization import Label, colour_of, draw
from hiera_mm.tasks.detection.results import detections_from, labels_of

import numpy as np
import pycocotools.mask
from mmengine.registry import HOOKS


@HOOKS.register_module()
class DrawObjectsHook(DrawTestHook):
    """Draws objects with at least a score.

    Args:
        folder: As for :class:`DrawTestHook`.
        score_thr: Score threshold.
    """

    def __init__(self, folder: str, score_thr: float = 0.3) -> None:
        super().__init__(folder)
        self.score_thr = score_thr

    def draw(self, image: np.ndarray, sample: Any, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        found = detections_from(sample.cpu(), names).above(self.score_thr)
        return draw(image, _true_labels(sample.gt_instances, image.shape[:2], names)), draw(image, labels_of(found))


def _true_labels(truth: Any, size: tuple[int, int], names: Sequence[str]) -> list[Label]:
    boxes, labels = truth.bboxes, truth.labels
    corners = getattr(boxes, 'tensor', boxes).cpu().numpy()
    masks: Sequence[Any] = [None] * len(labels)
    if 'masks' in truth:
        pixels = truth.masks.to_ndarray().reshape(-1, *size)
        masks = [pycocotools.mask.encode(np.asfortranarray(mask, np.uint8)) for mask in pixels]
    return [
        Label(box, [names[label]], colour_of(label), mask)
        for box, label, mask in zip(corners, labels.tolist(), masks, strict=True)
    ]
