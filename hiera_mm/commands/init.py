"""Write a config for detection data in a folder.

hiera-mm init --coco my_data
hiera-mm init --yolo my_data --out my_config.py

YOLO's and Pascal VOC's files are converted by the package supervision into COCO's, in the folder coco_annotations
beside the config.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hiera_mm.readers.found_sets import FoundSet

STRIDE = 32
"""Sides are rounded up to a multiple of this many pixels."""

MIN_SIDE, MAX_SIDE = 128, 1024
"""Smallest and largest training resolution."""

CONFIG_TEMPLATE = """# {images} images of {folder}, {boxes_or_masks}; written by hiera-mm init.
# The settings at the top are explained in docs/own_data.md.
_base_ = 'hiera_mm::{base}.py'

data_root = {root!r}
classes = {classes!r}
train_ann_file = {train_file!r}
train_data_prefix = {train_images!r}
val_ann_file = {val_file!r}
val_data_prefix = {val_images!r}

image_size = ({side}, {side})
batch_size = 4
epochs = {epochs}
learning_rate = {rate}
{start}"""

PRETRAINED = """# The backbone starts from Meta's weights, CC BY-NC 4.0 (no commercial use), downloaded on first use.
"""
RANDOM_START = """
# Random weights; without this line Meta's, CC BY-NC 4.0 (no commercial use), which need far fewer images.
model = dict(backbone=dict(init_cfg=None){small})
"""
SMALL_MODEL = """model = dict({small})
"""
SMALL_IMAGES = """
    # Small images have smaller and fewer objects: smaller anchors, fewer regions for the heads.
    rpn_head=dict(anchor_generator=dict(scales=[4])),
    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=200), rcnn=dict(sampler=dict(num=64))),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100)),
"""

SMALL_SIDE = 256
"""Images count as small up to this resolution."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    formats = parser.add_mutually_exclusive_group(required=True)
    formats.add_argument('--coco', metavar='FOLDER', help="folder with COCO's annotation files (.json) and images")
    formats.add_argument('--yolo', metavar='FOLDER', help="folder with YOLO's data.yaml, images and labels")
    formats.add_argument('--voc', metavar='FOLDER', help="folder with Pascal VOC's Annotations and JPEGImages")
    parser.add_argument('--out', default='my_config.py', help='the config to write (default: %(default)s)')
    parser.add_argument(
        '--size', choices=['t', 's', 'b', 'bp', 'l', 'h'], default='t', help='size of Hiera (default: %(default)s)'
    )
    parser.add_argument('--epochs', type=int, default=50, help='passes over the training set (default: %(default)s)')
    parser.add_argument(
        '--random-weights', action='store_true', help='start from random weights instead of published ones'
    )


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.atomic_write import atomic_write
    from hiera_mm.errors import UserError
    from hiera_mm.program import command_line
    from hiera_mm.readers.found_sets import find_coco, find_voc, find_yolo

    out = Path(arguments.out)
    if out.exists():
        raise UserError(f"'{out}' already exists; name another file with --out, or remove it.")
    if out.suffix != '.py':
        raise UserError(f"The config '{out}' must have a name that ends in .py.")
    converted = out.resolve().parent / 'coco_annotations'
    if arguments.coco:
        train, val = find_coco(Path(arguments.coco))
    elif arguments.yolo:
        train, val = find_yolo(Path(arguments.yolo), converted)
    else:
        train, val = find_voc(Path(arguments.voc), converted)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(out) as unfinished:
        unfinished.write_text(
            config_text(train, val, arguments.size, arguments.epochs, arguments.random_weights), encoding='utf-8'
        )
    print(f'{len(train.file.images)} images to train on, {len(val.file.images)} to validate; the config is {out}.')
    print(f'Next: {command_line("check-data")} {out} && {command_line("train")} {out}')


def config_text(train: FoundSet, val: FoundSet, size: str, epochs: int, random_weights: bool) -> str:
    """The config for a training and a validation set: with masks if every object has one, with boxes only otherwise."""
    files = (train.file, val.file)
    masks = all('segmentation' in a for file in files for a in file.annotations if not a['iscrowd'])
    places = [train.ann_file.resolve(), val.ann_file.resolve(), train.images.resolve(), val.images.resolve()]
    root = Path(os.path.commonpath([place.parent if place.is_file() else place for place in places]))
    train_file, val_file, train_images, val_images = (str(place.relative_to(root)) for place in places)
    side = _side(train)
    return CONFIG_TEMPLATE.format(
        images=sum(len(file.images) for file in files),
        folder=root,
        boxes_or_masks='with masks' if masks else 'with boxes',
        base=f'{"mask" if masks else "faster"}_rcnn_hiera_{size}',
        root=f'{root}/',
        classes=tuple(category['name'] for category in train.file.categories),
        train_file=train_file,
        train_images=f'{train_images}/',
        val_file=val_file,
        val_images=f'{val_images}/',
        side=side,
        epochs=epochs,
        rate='6e-4' if random_weights else '1e-4',
        start=_model(side <= SMALL_SIDE, random_weights),
    )


def _model(small: bool, random_weights: bool) -> str:
    if random_weights:
        return RANDOM_START.format(small=f',{SMALL_IMAGES}' if small else '')
    return PRETRAINED + (SMALL_MODEL.format(small=SMALL_IMAGES) if small else '')


def _side(found: FoundSet) -> int:
    """The longest side of 90 % of the images, rounded and limited."""
    from hiera_mm.readers.images import image_size

    sizes = [
        (image['width'], image['height']) if 'width' in image else image_size(found.images / image['file_name'], False)
        for image in found.file.images
    ]
    longest = sorted(max(size) for size in sizes)[len(sizes) * 9 // 10]
    return min(max(-(-longest // STRIDE) * STRIDE, MIN_SIDE), MAX_SIDE)
