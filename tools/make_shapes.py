"""Generate the embedded data set: ``python tools/make_shapes.py data/shapes``."""

import argparse

from hiera_mm.cli import faults_as_sentences
from hiera_mm.datasets.shapes import make_coco_shapes

if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', help='where the data set lies afterwards')
    parser.add_argument('--train', type=int, default=640, help='training images (default: %(default)s)')
    parser.add_argument('--val', type=int, default=60, help='validation images (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the drawing (default: %(default)s)')
    arguments = parser.parse_args()
    with faults_as_sentences():
        make_coco_shapes(arguments.folder, arguments.train, arguments.val, arguments.seed)
    print(f'{arguments.train} training and {arguments.val} validation images lie in {arguments.folder}.')
