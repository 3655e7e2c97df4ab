"""Draw an embedded data set.

hiera-mm make-data data/shapes
hiera-mm make-data data/acting_shapes --kind actions
"""

import argparse
import importlib
from typing import NamedTuple


class Kind(NamedTuple):
    """A function of :mod:`hiera_mm.synthetic`, and what it draws."""

    module: str
    function: str
    train: int
    val: int
    files: str
    words: str


KINDS = dict(
    images=Kind('shapes', 'make_coco_shapes', 640, 60, 'images', 'in COCO format'),
    classes=Kind('classes', 'make_class_shapes', 900, 150, 'images', 'of one shape each, in a folder for each class'),
    masks=Kind('masks', 'make_mask_shapes', 640, 60, 'images', 'with index masks for semantic segmentation'),
    volumes=Kind('volumes', 'make_volume_shapes', 24, 6, 'volumes', 'of ellipsoids and tubes, in NIfTI files'),
    motion=Kind('motions', 'make_motion_shapes', 1200, 180, 'videos', 'whose class is the motion'),
    actions=Kind('actions', 'make_acting_shapes', 500, 60, 'videos', 'of several actors, in AVA format'),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    described = [
        f'{name}: {k.files} {k.words}, {k.train} to train on, {k.val} to validate' for name, k in KINDS.items()
    ]
    parser.add_argument('folder', help='where the data set lies afterwards')
    parser.add_argument('--kind', choices=KINDS, default='images', help='; '.join(described))
    parser.add_argument('--train', type=int, help='another number of training images or videos')
    parser.add_argument('--val', type=int, help='another number of validation images or videos')
    parser.add_argument('--seed', type=int, default=0, help='seed of the drawing (default: %(default)s)')


def run(arguments: argparse.Namespace) -> None:
    kind = KINDS[arguments.kind]
    train, val = arguments.train or kind.train, arguments.val or kind.val
    make = getattr(importlib.import_module(f'hiera_mm.synthetic.{kind.module}'), kind.function)
    make(arguments.folder, train, val, arguments.seed)
    print(f'{train} training and {val} validation {kind.files} are in {arguments.folder}.')
