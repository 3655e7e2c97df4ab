"""Draw an embedded data set.

hiera-mm make-data data/shapes
hiera-mm make-data data/acting_shapes --kind actions
"""

import argparse
import importlib
from typing import NamedTuple


class Generator(NamedTuple):
    """A function of :mod:`hiera_mm.synthetic` with its default sizes and a description."""

    module: str
    function: str
    train: int
    val: int
    files: str
    words: str


GENERATORS = dict(
    images=Generator('shapes', 'make_coco_shapes', 640, 60, 'images', 'in COCO format'),
    classes=Generator(
        'classes', 'make_class_shapes', 900, 150, 'images', 'of one shape each, in a folder for each class'
    ),
    masks=Generator('masks', 'make_mask_shapes', 640, 60, 'images', 'with index masks for semantic segmentation'),
    bands=Generator('bands', 'make_band_shapes', 640, 60, 'images', 'of four channels in two files, with index masks'),
    panoptic=Generator(
        'panoptic', 'make_panoptic_shapes', 640, 60, 'images', "with things and stuff, in COCO's panoptic format"
    ),
    volumes=Generator('volumes', 'make_volume_shapes', 24, 6, 'volumes', 'of ellipsoids and tubes, in NIfTI files'),
    motion=Generator('motions', 'make_motion_shapes', 1200, 180, 'videos', 'whose class is the motion'),
    actions=Generator('actions', 'make_acting_shapes', 500, 60, 'videos', 'of several actors, in AVA format'),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    described = [
        f'{name}: {k.files} {k.words}, {k.train} to train on, {k.val} to validate' for name, k in GENERATORS.items()
    ]
    parser.add_argument('folder', help='folder for the data set')
    parser.add_argument('--kind', choices=GENERATORS, default='images', help='; '.join(described))
    parser.add_argument('--train', type=int, help='number of training images or videos')
    parser.add_argument('--val', type=int, help='number of validation images or videos')
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: %(default)s)')


def run(arguments: argparse.Namespace) -> None:
    generator = GENERATORS[arguments.kind]
    train, val = arguments.train or generator.train, arguments.val or generator.val
    make = getattr(importlib.import_module(f'hiera_mm.synthetic.{generator.module}'), generator.function)
    make(arguments.folder, train, val, arguments.seed)
    print(f'{train} training and {val} validation {generator.files} are in {arguments.folder}.')
