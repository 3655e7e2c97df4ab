"""Generate an embedded data set: ``python tools/make_shapes.py data/shapes``, with ``--kind actions`` of films."""

import argparse
from collections.abc import Callable
from typing import NamedTuple

from hiera_mm.cli import faults_as_sentences
from hiera_mm.datasets.acting_shapes import make_acting_shapes
from hiera_mm.datasets.class_shapes import make_class_shapes
from hiera_mm.datasets.moving_shapes import make_motion_shapes
from hiera_mm.datasets.shapes import make_coco_shapes


class Kind(NamedTuple):
    make: Callable[[str, int, int, int], None]
    train: int
    val: int
    files: str
    words: str


KINDS = dict(
    images=Kind(make_coco_shapes, 640, 60, 'images', 'in COCO format'),
    classes=Kind(make_class_shapes, 900, 150, 'images', 'of one shape each, in a folder for each class'),
    motion=Kind(make_motion_shapes, 1200, 180, 'videos', 'whose class is the motion'),
    actions=Kind(make_acting_shapes, 500, 60, 'films', 'of several actors, in AVA format'),
)

if __name__ == '__main__':
    described = [f'{name}: {k.files} {k.words}, {k.train} for training, {k.val} to check' for name, k in KINDS.items()]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', help='where the data set lies afterwards')
    parser.add_argument('--kind', choices=KINDS, default='images', help='; '.join(described))
    parser.add_argument('--train', type=int, help='another number of training images or videos')
    parser.add_argument('--val', type=int, help='another number of validation images or videos')
    parser.add_argument('--seed', type=int, default=0, help='seed of the drawing (default: %(default)s)')
    arguments = parser.parse_args()
    kind = KINDS[arguments.kind]
    train, val = arguments.train or kind.train, arguments.val or kind.val
    with faults_as_sentences():
        kind.make(arguments.folder, train, val, arguments.seed)
    print(f'{train} training and {val} validation {kind.files} lie in {arguments.folder}.')
