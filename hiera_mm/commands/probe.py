"""Measure the quality of a backbone's frozen features with few labelled images.

hiera-mm probe MODEL my_images --shots 10

MODEL is a name of 'hiera-mm weights list', a file, the folder of a run (also a masked autoencoder's), or what 'hiera-mm
publish' wrote. The folder has class folders in train/ and val/. Prints the top-1 accuracy of a linear classifier and of
nearest neighbours on the mean of the last map.
"""

import argparse
from pathlib import Path

from hiera_mm.commands.options import add_newest_option, chosen_checkpoint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('model', help='weights of a backbone')
    parser.add_argument('folder', type=Path, help='train/CLASS/* and val/CLASS/*')
    add_newest_option(parser)
    parser.add_argument('--shots', default='10', help='training images of each class, or "all" (%(default)s)')
    parser.add_argument('--draws', type=int, default=3, help='how often to draw them (%(default)s)')
    parser.add_argument('--size', type=int, default=224, help='side of the images in pixels (%(default)s)')
    parser.add_argument('--batch-size', type=int, default=16, help='images computed together (%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the draws (%(default)s)')
    parser.add_argument('--device', help='such as cuda:0 or cpu (default: a GPU if there is one)')


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.errors import UserError, examples, require_extra
    from hiera_mm.inference.load_backbone import backbone
    from hiera_mm.inference.probe import probe
    from hiera_mm.readers.image_lists import read_images

    import torch

    require_extra('sklearn', 'probe', 'scikit-learn')
    shots = None if arguments.shots == 'all' else _shots(arguments.shots)
    training, validation = (read_images(arguments.folder / part) for part in ('train', 'val'))
    if training.classes != validation.classes:
        differing = sorted(set(training.classes or ()) ^ set(validation.classes or ()))
        raise UserError(f"Only one of 'train' and 'val' in '{arguments.folder}' has {examples(differing)}.")
    device = arguments.device or ('cuda:0' if torch.cuda.is_available() else 'cpu')
    model = backbone(chosen_checkpoint(arguments.model, arguments.newest), out_indices=(3,)).to(device)
    draws = 1 if shots is None else arguments.draws
    found = probe(model, training, validation, shots, draws, arguments.size, arguments.batch_size, arguments.seed)
    number = len(training.classes or ())
    few = 'all training images' if shots is None else f'{shots} images per class, {draws} draws'
    print(f'{len(validation.entries)} images of {number} classes, from {few}; chance is {1 / number:.3f}.')
    for name, values in (('linear classifier', found.linear), ('nearest neighbours', found.neighbours)):
        mean, spread = sum(values) / len(values), (max(values) - min(values)) / 2
        print(f'{name:19}top-1 {mean:.3f}' + (f' (+- {spread:.3f})' if len(values) > 1 else ''))


def _shots(text: str) -> int:
    from hiera_mm.errors import UserError

    if not text.isdigit() or int(text) < 1:
        raise UserError(f"--shots takes a whole number of at least 1, or 'all', not '{text}'.")
    return int(text)
