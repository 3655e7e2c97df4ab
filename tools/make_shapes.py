"""Generate an embedded data set: ``python tools/make_shapes.py data/shapes``, with ``--kind actions`` of films."""

import argparse

from hiera_mm.cli import faults_as_sentences
from hiera_mm.datasets.acting_shapes import make_acting_shapes
from hiera_mm.datasets.moving_shapes import make_motion_shapes
from hiera_mm.datasets.shapes import make_coco_shapes

if __name__ == '__main__':
    kinds = dict(
        images=(make_coco_shapes, 640, 60),
        motion=(make_motion_shapes, 1200, 180),
        actions=(make_acting_shapes, 500, 60),
    )
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', help='where the data set lies afterwards')
    parser.add_argument(
        '--kind',
        choices=kinds,
        default='images',
        help='images in COCO format, videos whose class is the motion, or films of several actors in AVA format',
    )
    parser.add_argument('--train', type=int, help='training images (default: 640), videos (1200) or films (500)')
    parser.add_argument('--val', type=int, help='validation images (default: 60), videos (180) or films (60)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the drawing (default: %(default)s)')
    arguments = parser.parse_args()
    make, train, val = kinds[arguments.kind]
    train, val = arguments.train or train, arguments.val or val
    with faults_as_sentences():
        make(arguments.folder, train, val, arguments.seed)
    what = 'images' if arguments.kind == 'images' else 'videos'
    print(f'{train} training and {val} validation {what} lie in {arguments.folder}.')
