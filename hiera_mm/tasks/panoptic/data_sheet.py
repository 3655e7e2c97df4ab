"""Sheets of images with their things and stuff."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hiera_mm.datasets.load_image import LoadImageFromFile
from hiera_mm.inference.data_sheet import Sheet, Tile, built_set, draw_samples
from hiera_mm.readers.channels import loading_step, visible
from hiera_mm.tasks.panoptic.results import draw_segments, segmentation_of
from hiera_mm.tasks.panoptic.truth import truth_of

from mmengine.config import ConfigDict


def draw_sheet(dataset: ConfigDict, scope: str | None, path: Path) -> Sheet:
    """Write images with their segments, if the set has any."""
    if not (dataset.get('data_prefix') or {}).get('seg'):
        return Sheet(0)
    tile = partial(_tile, loading_step(dataset.get('pipeline')))
    return Sheet(draw_samples(built_set(dataset, scope), tile, path))


def _tile(loading: Mapping[str, Any], built: Any, number: int) -> Tile:
    info = built.get_data_info(number)
    of_channels = {key: loading[key] for key in ('channels', 'channel_files') if key in loading}
    loaded: Any = LoadImageFromFile(**of_channels).transform(dict(info))
    pixels, truth = visible(loaded['img'] if of_channels else loaded['img'][..., ::-1]), truth_of(info)
    if truth is None:
        return Tile(pixels, Path(info['img_path']).name)
    names, things = built.metainfo['classes'], len(built.metainfo['thing_classes'])
    return Tile(draw_segments(pixels, segmentation_of(truth, names, things)), Path(info['img_path']).name)
