"""A sheet of images with their annotations, to check them at a glance."""

import random
from pathlib import Path

from hiera_mm.errors import BrokenFileError
from hiera_mm.inference.data_sheet import COLUMNS, ROWS, Tile, write_sheet
from hiera_mm.readers.channels import visible

from mmdet.registry import DATASETS
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope


def draw_sheet(dataset: ConfigDict, path: str | Path) -> int:
    """Write up to 16 images of a data set, chosen at random with a fixed seed, with boxes, masks and names.

    Args:
        dataset: Config of a set in COCO's format, without wrappers.
        path: The image to write.

    Returns:
        The number of images on it, without those that are broken; 0 for a set that is used without annotations, as
        for a submission.
    """
    if not any(step.get('type', '').endswith('LoadAnnotations') for step in dataset.pipeline):
        return 0
    init_default_scope('mmdet')
    built = DATASETS.build(dataset | ConfigDict(pipeline=_pipeline(dataset), test_mode=True))
    chosen = random.Random(0).sample(range(len(built)), min(len(built), COLUMNS * ROWS))
    visualizer = DetLocalVisualizer(name='data sheet')
    visualizer.dataset_meta = built.metainfo
    tiles = []
    for index in chosen:
        try:
            sample = built[index]
        except BrokenFileError:
            continue
        pixels = sample['inputs'].permute(1, 2, 0).numpy()
        pixels = visible(pixels[..., ::-1] if pixels.shape[2] == 3 else pixels)
        truth = sample['data_samples'].gt_instances
        truth.bboxes = truth.bboxes.tensor
        if 'masks' in truth:
            truth.masks = truth.masks.to_ndarray().astype(bool)
        visualizer.add_datasample('', pixels, sample['data_samples'], draw_pred=False)
        tiles.append(Tile(visualizer.get_image(), ''))
    return write_sheet(tiles, Path(path))


def _pipeline(dataset: ConfigDict) -> list[dict]:
    steps = dataset.pipeline
    masks = any(step.get('with_mask') for step in steps)
    load = next((step for step in steps if step.get('type') == 'LoadImageFromFile'), dict(type='LoadImageFromFile'))
    return [load, dict(type='LoadAnnotations', with_bbox=True, with_mask=masks), dict(type='PackDetInputs')]
