"""Sheets of labelled images and clips."""

from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from hiera_mm.datasets.images import ImageDataset
from hiera_mm.datasets.video import ClipDataset
from hiera_mm.errors import first_few
from hiera_mm.inference.data_sheet import COLUMNS, Sheet, Tile, built_set, draw_samples, film_strip
from hiera_mm.inference.images import read_image
from hiera_mm.readers.channels import loading_step
from hiera_mm.readers.videos import open_video

from mmengine.config import ConfigDict


def draw_sheet(dataset: ConfigDict, dataset_type: type, scope: str | None, path: Path) -> Sheet:
    """Write images with their classes, or clips as strips with theirs; nothing for other sets."""
    if not issubclass(dataset_type, ImageDataset | ClipDataset):
        return Sheet(0)
    built, images = built_set(dataset, scope), issubclass(dataset_type, ImageDataset)
    image = partial(_image, loading_step(dataset.get('pipeline')))
    drawn = draw_samples(built, image if images else _clip, path, COLUMNS if images else 1)
    return Sheet(drawn, _counts(built))


def _counts(built: Any) -> str:
    """How many samples each class has."""
    found = Counter(_class_of(built, built.get_data_info(number)) for number in range(len(built)))
    what = built.files if len(built) != 1 else built.files.removesuffix('s')
    if set(found) == {''}:
        return f'{len(built)} {what}'
    shown = [f'{name} {count}' for name, count in sorted(found.items(), key=lambda item: -item[1])]
    return f'{len(built)} {what} of {len(found)} classes: {first_few(shown, 20)}'


def _class_of(built: Any, info: dict) -> str:
    if 'label' not in info:
        return ''
    names = built.metainfo.get('classes') or ()
    return str(names[info['label']]) if info['label'] < len(names) else f'class {info["label"]}'


def _image(loading: Mapping[str, Any], built: Any, number: int) -> Tile:
    info = built.get_data_info(number)
    return Tile(read_image(info['img_path'], loading), _class_of(built, info))


def _clip(built: Any, number: int) -> Tile:
    info = built.get_data_info(number)
    strip, times = film_strip(open_video(info['filename']))
    seconds = ', '.join(f'{time:.1f}' for time in times)
    return Tile(strip, f'{_class_of(built, info)} ({Path(info["filename"]).name}, at {seconds} s)')
