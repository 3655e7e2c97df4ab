"""Choose which images to label next, by a detector that was trained on those that are labelled.

hiera-mm select MODEL FOLDER -n 100 --labelled my_data/train

MODEL and FOLDER are as in 'hiera-mm predict', with detectors. Chooses images of which the detector is unsure and that
are unlike each other and those with labels; what repeats another image is left out. Writes their paths, the most useful
ones first (selected.txt), a table (selected.csv), and a sheet with what the detector makes of them (selected.png).
"""

import argparse
from pathlib import Path

from hiera_mm.commands.options import add_model_options, positive, read_model, without_results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('model', help="checkpoint, folder of a run, or what 'hiera-mm publish' wrote")
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='file, folder or pattern of images')
    parser.add_argument('-n', '--count', type=int, default=100, help='how many to choose (%(default)s)')
    parser.add_argument('--labelled', nargs='+', default=[], metavar='INPUT', help='images that have labels already')
    parser.add_argument('--out-dir', type=Path, default='selected', help='folder for the results (%(default)s)')
    parser.add_argument('--batch-size', type=positive, default=1, help='images computed together (%(default)s)')
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from hiera_mm.errors import UserError
    from hiera_mm.readers.inputs import Kind, find_inputs, named_inputs, unrepeated
    from hiera_mm.tasks.detection.selection import LIST, select_images

    if arguments.count < 1:
        raise UserError(f'-n takes a number of at least 1, not {arguments.count}.')
    model = read_model(arguments)
    candidates = without_results(arguments.out_dir, find_inputs(arguments.inputs, (Kind.IMAGE,)))
    pool = [entry.source for entry in candidates]
    labelled = [entry.source for entry in find_inputs(arguments.labelled, (Kind.IMAGE,))] if arguments.labelled else []
    named = named_inputs(unrepeated((source, Kind.IMAGE) for source in [*pool, *labelled]))
    with_labels = {Path(source).resolve() for source in labelled}
    known = [entry for entry in named if Path(entry.source).resolve() in with_labels]
    selection = select_images(
        model, [e for e in named if e not in known], known, arguments.count, arguments.out_dir, arguments.batch_size
    )
    for sentence in selection.outcome.broken:
        print(f'Not read: {sentence}')
    repeated = f'; {len(selection.repeated)} repeat others and are left out' if selection.repeated else ''
    print(f'{arguments.out_dir / LIST}: {len(selection.chosen)} of {len(named) - len(known)} images{repeated}.')
    return 1 if selection.outcome.broken else 0
