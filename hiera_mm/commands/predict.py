"""Predict objects, regions, classes or actions in pictures, videos, streams and volumes.

hiera-mm predict MODEL INPUT ...

MODEL is a checkpoint of a run, the folder of a run (its newest), or what 'hiera-mm publish' wrote.
INPUT is a file, a folder, a pattern such as 'photos/*.jpg', a camera (0) or a stream (rtsp://...).
Detectors write predictions.json (COCO's result format) with images.json, and the inputs with boxes and masks;
segmentation masks/*.png, predictions.csv, and the inputs in colours, of volumes masks/*.nii.gz and predictions.csv;
classifiers predictions.csv; action detectors NAME_actions.json and NAME_actions.mp4. The same command again goes on
with a run that was interrupted. The exit code is 1 if an input can't be read.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hiera_mm.commands.options import add_person_options, read_persons
from hiera_mm.errors import UserError, examples

if TYPE_CHECKING:
    from hiera_mm.inference.files import Outcome
    from hiera_mm.inference.predictor import Predictor
    from hiera_mm.readers.inputs import Input

DEFAULTS: dict[str, dict[str, Any]] = {
    'Detector': dict(
        batch_size=1,
        pred_score_thr=0.3,
        no_save_vis=False,
        frame_interval=1,
        tile=None,
        tile_overlap=0.2,
        ann_file=None,
    ),
    'Segmenter': dict(batch_size=1, no_save_vis=False, frame_interval=1),
    'VolumeSegmenter': dict(),
    'Classifier': dict(batch_size=1, topk=5, fps=30.0),
    'ActionDetector': dict(
        pred_score_thr=0.5,
        no_save_vis=False,
        boxes=None,
        det_checkpoint=None,
        det_config=None,
        det_score_thr=None,
        det_classes=None,
        step=1.0,
    ),
}
"""Options of each kind of model, by the names of what :func:`hiera_mm.inference.load` gives."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('model', help="checkpoint, folder of a run, or what 'hiera-mm publish' wrote")
    parser.add_argument('inputs', nargs='+', metavar='INPUT', help='file, folder, pattern, camera or stream')
    parser.add_argument('--out-dir', type=Path, default='predictions', help='folder for the results (%(default)s)')
    parser.add_argument('--config', help='config of the model, where its file does not hold it')
    parser.add_argument('--classes', metavar='FILE', help='names of the classes, one a line; of actions a .pbtxt')
    parser.add_argument('--device', help='such as cuda:0 or cpu (default: a GPU if there is one)')

    several = parser.add_argument_group('for several kinds of models')
    several.add_argument('--batch-size', type=_positive, help='inputs or frames computed together (1)')
    several.add_argument(
        '--pred-score-thr', type=float, help='least score of what is drawn (0.3), or of an action (0.5)'
    )
    several.add_argument('--no-save-vis', action='store_true', default=None, help='draw nothing')

    several.add_argument('--frame-interval', type=_positive, help='of a video, look at every so-many-th frame (1)')

    detectors = parser.add_argument_group('for detectors')
    detectors.add_argument(
        '--tile', type=_positive, metavar='PIXELS', help='cut large pictures into tiles of this side'
    )
    detectors.add_argument('--tile-overlap', type=float, help='of neighbouring tiles, as a part of their side (0.2)')
    detectors.add_argument('--ann-file', help='COCO file whose numbers of images and categories to write')

    classifiers = parser.add_argument_group('for classifiers')
    classifiers.add_argument('--topk', type=_positive, help='classes of each input (5)')
    classifiers.add_argument('--fps', type=float, help='rate at which frames in folders were extracted (30)')

    actions = parser.add_argument_group('for action detectors')
    actions.add_argument('--boxes', help='JSON file with boxes by seconds, {"1.5": [[x1, y1, x2, y2]]}, in pixels')
    add_person_options(actions)
    actions.add_argument('--step', type=float, help='interval in seconds at which persons are looked for (1)')


def run(arguments: argparse.Namespace) -> int:
    from hiera_mm.commands.options import read_names
    from hiera_mm.inference.files import kinds_taken
    from hiera_mm.inference.predictor import load
    from hiera_mm.readers.inputs import find_inputs

    predictor = load(arguments.model, arguments.config, arguments.device, read_names(arguments.classes))
    options = _options(arguments, type(predictor).__name__)
    inputs = _apart_from(arguments.out_dir, find_inputs(arguments.inputs, kinds_taken(predictor)))
    outcome = _predict(predictor, inputs, arguments, options)
    for sentence in outcome.broken:
        print(f'Not read: {sentence}')
    print(f'{len(inputs) - len(outcome.broken)} of {len(inputs)} inputs; written to {arguments.out_dir}.')
    return 1 if outcome.broken else 0


def _predict(predictor: Predictor, inputs: list[Input], arguments: argparse.Namespace, options: dict) -> Outcome:
    from hiera_mm.inference import ActionDetector, Classifier, Segmenter, Tiles, VolumeSegmenter
    from hiera_mm.inference.files import act_in_files, classify_files, detect_in_files, segment_files, segment_volumes

    folder = arguments.out_dir
    if isinstance(predictor, Classifier):
        return classify_files(predictor, inputs, folder, options['batch_size'], options['topk'], options['fps'])
    if isinstance(predictor, VolumeSegmenter):
        return segment_volumes(predictor, inputs, folder)
    if isinstance(predictor, Segmenter):
        drawn, interval = not options['no_save_vis'], options['frame_interval']
        return segment_files(predictor, inputs, folder, options['batch_size'], drawn, interval)
    shown = dict(score_thr=options['pred_score_thr'], drawn=not options['no_save_vis'])
    if isinstance(predictor, ActionDetector):
        boxes = None if options['boxes'] is None else read_boxes(options['boxes'])
        persons = read_persons(arguments)
        return act_in_files(predictor, inputs, folder, boxes, persons, options['step'], **shown)
    tiles = Tiles(options['tile'], options['tile_overlap']) if options['tile'] else None
    settings = dict(interval=options['frame_interval'], tiles=tiles, ann_file=options['ann_file'])
    return detect_in_files(predictor, inputs, folder, options['batch_size'], **shown, **settings)


def _options(arguments: argparse.Namespace, kind: str) -> dict[str, Any]:
    """Those of this kind of model, with their defaults; one of another kind would do nothing."""
    every = {name for options in DEFAULTS.values() for name in options}
    given = {name: value for name in every if (value := getattr(arguments, name)) is not None}
    if without_effect := sorted(given.keys() - DEFAULTS[kind].keys()):
        options = [f'--{name.replace("_", "-")}' for name in without_effect]
        raise UserError(f"{examples(options)} does nothing for '{arguments.model}', which is a {kind}; leave it out.")
    return DEFAULTS[kind] | given


def _apart_from(folder: Path, inputs: list[Input]) -> list[Input]:
    """Inputs that an earlier run did not write itself, none of which would be overwritten."""
    written = [entry for entry in inputs if Path(entry.source).resolve().is_relative_to(folder.resolve())]
    if len(written) == len(inputs):
        raise UserError(
            f"The results would be written among the inputs, in '{folder}'; choose another folder with --out-dir."
        )
    if written:
        print(f"Left out: {len(written)} inputs in '{folder}', where results are written.")
    return [entry for entry in inputs if entry not in written]


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError('must be 1 or more')
    return number


def read_boxes(path: str) -> dict:
    try:
        boxes = json.loads(Path(path).read_text(encoding='utf-8'))
        return {float(second): given for second, given in boxes.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"The file '{path}' can't be read as boxes by seconds, such as {{\"1.5\": [[10, 20, 50, 90]]}}: {error}."
        ) from error
