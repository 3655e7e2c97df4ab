"""Sheets of images with the classes of their pixels."""

from pathlib import Path
from typing import Any

from hiera_mm.inference.data_sheet import Tile, draw_samples
from hiera_mm.inference.images import read_image
from hiera_mm.tasks.segmentation.results import Segmentation, draw_regions

from mmengine.config import ConfigDict
from mmseg.registry import TRANSFORMS


def draw_sheet(dataset: ConfigDict, path: Path) -> int:
    """Write images with their masks in colours; returns the number, 0 for a set without masks."""
    if not (dataset.get('data_prefix') or {}).get('seg_map_path'):
        return 0
    return draw_samples(dataset, 'mmseg', _masked, path)


def _masked(built: Any, number: int) -> Tile:
    info = built.get_data_info(number)
    pixels = read_image(info['img_path'])
    load = TRANSFORMS.build(dict(type='LoadAnnotations'))
    mask = load.transform(dict(info, ori_shape=pixels.shape[:2], seg_fields=[]))['gt_seg_map']
    drawn = draw_regions(pixels, Segmentation(mask, list(built.metainfo['classes'])))
    return Tile(drawn, Path(info['img_path']).name)
