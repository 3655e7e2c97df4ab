"""Sheets of labelled images and clips."""

from collections import Counter
from pathlib import Path
from typing import Any

from hiera_mm.datasets.images import ImageDataset
from hiera_mm.datasets.video import ClipDataset
from hiera_mm.errors import first_few
from hiera_mm.inference.data_sheet import Tile, draw_samples, film_strip
from hiera_mm.inference.images import read_image
from hiera_mm.readers.videos import open_video

from mmengine.config import ConfigDict
from mmengine.registry import DATASETS, init_default_scope


def draw_sheet(dataset: ConfigDict, dataset_type: type, scope: str | None, path: Path) -> int:
    """Write images with their classes, or clips as strips with theirs; returns the number, 0 for other sets."""
    if issubclass(dataset_type, ImageDataset):
        return draw_samples(dataset, scope, _image, path)
    return draw_samples(dataset, scope, _clip, path, columns=1) if issubclass(dataset_type, ClipDataset) else 0


def counts(dataset: ConfigDict, dataset_type: type, scope: str | None) -> str:
    """How many samples each class has."""
    if not issubclass(dataset_type, ImageDataset | ClipDataset):
        return ''
    init_default_scope(scope or 'mmengine')
    built: Any = DATASETS.build(dict(dataset, pipeline=[]))
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


def _image(built: Any, number: int) -> Tile:
    info = built.get_data_info(number)
    return Tile(read_image(info['img_path']), _class_of(built, info))


def _clip(built: Any, number: int) -> Tile:
    info = built.get_data_info(number)
    strip, times = film_strip(open_video(info['filename']))
    seconds = ', '.join(f'{time:.1f}' for time in times)
    return Tile(strip, f'{_class_of(built, info)} ({Path(info["filename"]).name}, at {seconds} s)')
