"""Sheets of images with the classes of their pixels."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hiera_mm.inference.data_sheet import Sheet, Tile, built_set, draw_samples
from hiera_mm.inference.images import read_image
from hiera_mm.readers.channels import loading_step
from hiera_mm.tasks.segmentation.results import Segmentation, draw_regions

from mmengine.config import ConfigDict
from mmseg.registry import TRANSFORMS


def draw_sheet(dataset: ConfigDict, path: Path) -> Sheet:
    """Write images with their masks in colours, if the set has any."""
    if not (dataset.get('data_prefix') or {}).get('seg_map_path'):
        return Sheet(0)
    masked = partial(_masked, loading_step(dataset.get('pipeline')))
    return Sheet(draw_samples(built_set(dataset, 'mmseg'), masked, path))


def _masked(loading: Mapping[str, Any], built: Any, number: int) -> Tile:
    info = built.get_data_info(number)
    pixels = read_image(info['img_path'], loading)
    load = TRANSFORMS.build(dict(type='LoadAnnotations'))
    mask = load.transform(dict(info, ori_shape=pixels.shape[:2], seg_fields=[]))['gt_seg_map']
    drawn = draw_regions(pixels, Segmentation(mask, list(built.metainfo['classes'])))
    return Tile(drawn, Path(info['img_path']).name)
