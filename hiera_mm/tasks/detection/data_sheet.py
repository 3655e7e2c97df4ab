"""A sheet of images with their annotations, to check them at a glance."""

import random
from pathlib import Path

from hiera_mm.atomic_write import atomic_write

import cv2
import numpy as np
from mmdet.registry import DATASETS
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from mmengine.utils import mkdir_or_exist

COLUMNS, ROWS = 4, 4
TILE_SIDE = 320
"""Side of an image on the sheet in pixels."""


def draw_sheet(dataset: ConfigDict, path: str | Path) -> int:
    """Write up to 16 images of a data set, chosen at random with a fixed seed, with boxes, masks and names.

    Args:
        dataset: Config of a set in COCO's format, without wrappers.
        path: The image to write.

    Returns:
        The number of images on it; 0 for a set that is used without annotations, as for a submission.
    """
    if not any(step.get('type', '').endswith('LoadAnnotations') for step in dataset.pipeline):
        return 0
    init_default_scope('mmdet')
    built = DATASETS.build(dataset | ConfigDict(pipeline=_pipeline(dataset), test_mode=True))
    chosen = random.Random(0).sample(range(len(built)), min(len(built), COLUMNS * ROWS))
    visualizer = DetLocalVisualizer(name='data sheet')
    visualizer.dataset_meta = built.metainfo
    sheet = np.full((-(-len(chosen) // COLUMNS) * TILE_SIDE, min(len(chosen), COLUMNS) * TILE_SIDE, 3), 255, np.uint8)
    for place, index in enumerate(chosen):
        sample = built[index]
        pixels = np.ascontiguousarray(sample['inputs'].permute(1, 2, 0).numpy()[..., ::-1])
        truth = sample['data_samples'].gt_instances
        truth.bboxes = truth.bboxes.tensor
        if 'masks' in truth:
            truth.masks = truth.masks.to_ndarray().astype(bool)
        visualizer.add_datasample('', pixels, sample['data_samples'], draw_pred=False)
        tile = _resized_to_tile(visualizer.get_image())
        top, left = place // COLUMNS * TILE_SIDE, place % COLUMNS * TILE_SIDE
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    mkdir_or_exist(str(Path(path).parent))
    with atomic_write(path) as unfinished:
        written = cv2.imencode('.png', sheet[..., ::-1])[1]
        unfinished.write_bytes(written.tobytes())
    return len(chosen)


def _pipeline(dataset: ConfigDict) -> list[dict]:
    steps = dataset.pipeline
    masks = any(step.get('with_mask') for step in steps)
    load = next((step for step in steps if step.get('type') == 'LoadImageFromFile'), dict(type='LoadImageFromFile'))
    return [load, dict(type='LoadAnnotations', with_bbox=True, with_mask=masks), dict(type='PackDetInputs')]


def _resized_to_tile(image: np.ndarray) -> np.ndarray:
    ratio = TILE_SIDE / max(image.shape[:2])
    size = [max(1, round(side * ratio)) for side in image.shape[1::-1]]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if ratio < 1 else cv2.INTER_NEAREST)
