"""Write a config for detection data in a folder, and say what became of each file in it.

hiera-mm init my_data
hiera-mm init --yolo my_data --out my_config.py

COCO's files are used as they are. Those of YOLO, Pascal VOC and LabelMe, and a validation part that is put apart, are
written in COCO's format to the folder CONFIG_annotations beside the config. The images stay where they are.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hiera_mm.readers.found_sets import FoundPart, FoundSets

NAMES = dict(coco="COCO's layout", yolo="YOLO's layout", voc="Pascal VOC's layout", labelme="LabelMe's layout")

STRIDE = 32
"""Sides are rounded up to a multiple of this many pixels."""

MIN_SIDE, MAX_SIDE = 128, 1024
"""Smallest and largest training resolution."""

CONFIG_TEMPLATE = """# {images} images of {folder}, {boxes_or_masks}; written by hiera-mm init.
# The settings at the top are explained in docs/own_data.md.
_base_ = 'hiera_mm::{base}.py'

data_root = {root!r}
classes = {classes!r}
{files}
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
    layouts = parser.add_mutually_exclusive_group(required=True)
    layouts.add_argument(
        'folder', nargs='?', metavar='FOLDER', help='folder with annotated images, in any layout below'
    )
    layouts.add_argument('--coco', metavar='FOLDER', help="with COCO's annotation files (.json) and images")
    layouts.add_argument('--yolo', metavar='FOLDER', help="with YOLO's data.yaml, obj.data or classes.txt")
    layouts.add_argument('--voc', metavar='FOLDER', help="with Pascal VOC's XML files and images")
    layouts.add_argument('--labelme', metavar='FOLDER', help="with LabelMe's JSON files and images")
    shapes = parser.add_mutually_exclusive_group()
    shapes.add_argument('--boxes', action='store_true', help='train boxes, even if all objects have masks')
    shapes.add_argument(
        '--polygons', action='store_true', help='train polygons as masks, even if all have four corners'
    )
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
    from hiera_mm.readers.found_sets import SIGNS, find_sets, layout_of

    out = Path(arguments.out)
    if out.exists():
        raise UserError(f"'{out}' already exists; name another file with --out, or remove it.")
    if arguments.epochs < 1:
        raise UserError(f'--epochs must be at least 1, but is {arguments.epochs}.')
    if out.suffix != '.py':
        raise UserError(f"The config '{out}' must have a name that ends in .py.")
    layout = next((name for name in SIGNS if getattr(arguments, name)), None)
    folder = Path(getattr(arguments, layout) if layout else arguments.folder)
    annotations = out.resolve().parent / f'{out.stem}_annotations'
    shape = 'boxes' if arguments.boxes else 'polygons' if arguments.polygons else None
    layout = layout or layout_of(folder)
    found = find_sets(folder, layout, annotations, shape)
    with atomic_write(out) as unfinished:
        unfinished.write_text(
            config_text(found, arguments.size, arguments.epochs, arguments.random_weights), encoding='utf-8'
        )
    print(f'{folder}: {NAMES[layout]}, classes {", ".join(found.classes)}; {"masks" if found.masks else "boxes"}')
    print('\n'.join(f'  {line}' for line in found.account))
    print(''.join(f'Note: {note}\n' for note in found.notes), end='')
    if annotations.is_dir():
        print(f'The annotations are in {annotations}, on which the config depends.')
    print(f'The config is {out}. Next: {command_line("check-data")} {out} && {command_line("train")} {out}')


def config_text(found: FoundSets, size: str, epochs: int, random_weights: bool) -> str:
    """The config for a training, a validation and perhaps a test set."""
    places = [place.resolve() for part in found.parts.values() for place in (part.ann_file.parent, part.folder)]
    root = Path(os.path.commonpath(places))
    side = _side(found.parts['train'])
    return CONFIG_TEMPLATE.format(
        images=sum(len(part.images) for part in found.parts.values()),
        folder=root,
        boxes_or_masks='with masks' if found.masks else 'with boxes',
        base=f'{"mask" if found.masks else "faster"}_rcnn_hiera_{size}',
        root=f'{root}/',
        classes=found.classes,
        files=''.join(_part_text(name, part, root) for name, part in found.parts.items()),
        side=side,
        epochs=epochs,
        rate='6e-4' if random_weights else '1e-4',
        start=_model(side <= SMALL_SIDE, random_weights),
    )


def _part_text(name: str, part: FoundPart, root: Path) -> str:
    ann_file = part.ann_file.resolve().relative_to(root).as_posix()
    folder = part.folder.resolve().relative_to(root).as_posix()
    return f'{name}_ann_file = {ann_file!r}\n{name}_data_prefix = {f"{folder}/"!r}\n'


def _model(small: bool, random_weights: bool) -> str:
    if random_weights:
        return RANDOM_START.format(small=f',{SMALL_IMAGES}' if small else '')
    return PRETRAINED + (SMALL_MODEL.format(small=SMALL_IMAGES) if small else '')


def _side(part: FoundPart) -> int:
    """The longest side of 90 % of the images, rounded and limited."""
    longest = sorted(part.longest_sides)[len(part.longest_sides) * 9 // 10]
    return min(max(-(-longest // STRIDE) * STRIDE, MIN_SIDE), MAX_SIDE)
