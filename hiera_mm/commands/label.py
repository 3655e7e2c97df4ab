"""Label images by a trained detector, to be corrected by hand in CVAT, Label Studio and others.

hiera-mm label MODEL FOLDER

MODEL and FOLDER are as in 'hiera-mm predict', with detectors. Writes labels.json beside the images with boxes and masks
drawn: COCO's format, with the objects of at least --pred-score-thr, each with its score. Repeat the command to continue
an interrupted run.
"""

import argparse
from pathlib import Path

from hiera_mm.commands.options import add_model_options, positive, read_model, without_results


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('model', help="checkpoint, folder of a run, or what 'hiera-mm publish' wrote")
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='file, folder or pattern of images')
    parser.add_argument('--out-dir', type=Path, default='labels', help='folder for the results (%(default)s)')
    parser.add_argument('--pred-score-thr', type=float, default=0.3, help='lowest score of an object (%(default)s)')
    parser.add_argument('--batch-size', type=positive, default=1, help='images computed together (%(default)s)')
    parser.add_argument('--no-save-vis', action='store_true', help='draw nothing')
    add_model_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from hiera_mm.errors import UserError
    from hiera_mm.readers.inputs import Kind, find_inputs
    from hiera_mm.tasks.detection.labels import label_files

    if not 0 <= arguments.pred_score_thr <= 1:
        raise UserError(f'--pred-score-thr takes a score from 0 to 1, not {arguments.pred_score_thr}.')
    model = read_model(arguments)
    inputs = without_results(arguments.out_dir, find_inputs(arguments.inputs, (Kind.IMAGE,)))
    options = arguments.pred_score_thr, arguments.batch_size, not arguments.no_save_vis
    outcome, path, count = label_files(model, inputs, arguments.out_dir, *options)
    for sentence in outcome.broken:
        print(f'Not read: {sentence}')
    print(f'{path}: {count} objects in {len(inputs) - len(outcome.broken)} images.')
    return 1 if outcome.broken else 0
