"""Predict objects, regions, classes or actions in images, videos, streams and volumes.

hiera-mm predict MODEL INPUT ...

MODEL is a checkpoint, the folder of a run (for its best checkpoint), a folder from 'hiera-mm publish', an exported
file (.onnx, .xml, .pt2), or a model on the hub (hf://OWNER/NAME).
INPUT is a file, a folder, a pattern such as 'photos/*.jpg', a camera (0), a stream (rtsp://...), or for volumes of
several files each a list of them (.json) or a folder of CASE_0000.nii.gz, CASE_0001.nii.gz.
Detectors write predictions.json (COCO's result format) with images.json, and the inputs with boxes and masks;
segmentors masks/*.png, predictions.csv, and the inputs with the classes in colour, for volumes masks/*.nii.gz and
predictions.csv; classifiers predictions.csv; action detectors NAME_actions.json and NAME_actions.mp4; masked
autoencoders NAME_mae.png with the original, the visible part, and the reconstruction. Repeat the command to continue an
interrupted run. The exit code is 1 if an input can't be read.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiera_mm.commands.options import (
    add_model_options,
    add_person_options,
    positive,
    read_model,
    read_persons,
    without_results,
)
from hiera_mm.errors import UserError, examples

if TYPE_CHECKING:
    from hiera_mm.tasks import Task

TASK_OPTIONS = (
    *(
        'batch_size',
        'pred_score_thr',
        'no_save_vis',
        'frame_interval',
        'tile',
        'tile_overlap',
        'ann_file',
        'topk',
        'fps',
        'window',
        'stride',
        'full_size',
        'track',
    ),
    *('boxes', 'det_checkpoint', 'det_config', 'det_score_thr', 'det_classes', 'step', 'seed'),
)
"""Options that only some tasks have; each task lists its own with their defaults."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('model', help="checkpoint, folder of a run, or what 'hiera-mm publish' wrote")
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='file, folder, pattern, camera or stream')
    parser.add_argument('--out-dir', type=Path, default='predictions', help='folder for the results (%(default)s)')
    add_model_options(parser)

    several = parser.add_argument_group('for several tasks')
    several.add_argument('--batch-size', type=positive, help='inputs or frames computed together (1)')
    several.add_argument(
        '--pred-score-thr',
        type=float,
        help='score threshold for drawing and for masks of objects (0.3), or for an action (0.5)',
    )
    several.add_argument('--no-save-vis', action='store_true', default=None, help='draw nothing')

    several.add_argument('--frame-interval', type=positive, help='use every N-th frame of a video (1)')

    detectors = parser.add_argument_group('for detectors')
    detectors.add_argument('--tile', type=positive, metavar='PIXELS', help='cut large images into tiles of this side')
    detectors.add_argument(
        '--tile-overlap', type=float, help='overlap of neighbouring tiles, as a share of their side (0.2)'
    )
    detectors.add_argument(
        '--track', action='store_true', default=None, help='give the objects of videos numbers that they keep'
    )
    detectors.add_argument('--ann-file', help='COCO file whose image and category ids to use; all objects get masks')

    segmentors = parser.add_argument_group('for segmentors')
    segmentors.add_argument('--full-size', action='store_true', default=None, help='do not shrink large images first')

    autoencoders = parser.add_argument_group('for masked autoencoders')
    autoencoders.add_argument('--seed', type=int, help='seed of the masks (0)')

    classifiers = parser.add_argument_group('for classifiers')
    classifiers.add_argument('--topk', type=positive, help='classes per input (5)')
    classifiers.add_argument('--fps', type=float, help='rate at which frames in folders were extracted (30)')

    classifiers.add_argument('--window', type=float, metavar='SECONDS', help='classify windows along each video')
    classifiers.add_argument('--stride', type=float, metavar='SECONDS', help='between two windows (their length)')

    actions = parser.add_argument_group('for action detectors')
    actions.add_argument('--boxes', help='JSON file with boxes by second, {"1.5": [[x1, y1, x2, y2]]}, in pixels')
    add_person_options(actions)
    actions.add_argument('--step', type=float, help='seconds between two searches for persons (1)')


def run(arguments: argparse.Namespace) -> int:
    from hiera_mm.readers.inputs import unread_media

    predictor = read_model(arguments)
    task = predictor.trained.task
    options = _options(arguments, task)
    inputs = without_results(arguments.out_dir, task.find_inputs(predictor, arguments.inputs))
    if unread := unread_media(arguments.inputs):
        print(f'Left out: {examples(unread)} of the files, whose formats are not read; convert them.')
    try:
        outcome = task.predict_files(predictor, inputs, arguments.out_dir, options)
    except KeyboardInterrupt:
        print('What is finished is kept: the same command goes on from there.')
        raise
    for sentence in outcome.broken:
        print(f'Not read: {sentence}')
    print(f'{len(inputs) - len(outcome.broken)} of {len(inputs)} inputs; written to {arguments.out_dir}.')
    return 1 if outcome.broken else 0


def _options(arguments: argparse.Namespace, task: Task) -> dict[str, Any]:
    """The options of a task, with its defaults.

    Raises:
        UserError: for an option that the task doesn't have.
    """
    given = {name: value for name in TASK_OPTIONS if (value := getattr(arguments, name)) is not None}
    if unused := sorted(given.keys() - task.options.keys()):
        options = [f'--{name.replace("_", "-")}' for name in unused]
        raise UserError(
            f"{examples(options)} has no effect for '{arguments.model}', which is one of the {task.name}; leave it out."
        )
    return {**task.options, **given, 'persons': read_persons(arguments)}
