"""Show what a trained model finds in a video: persons and their actions.

hiera-mm demo VIDEO --task ava --config CONFIG --checkpoint FILE --boxes FILE.json

Writes VIDEO_actions.json and VIDEO_actions.mp4.
"""

import argparse
import json
from pathlib import Path

from hiera_mm.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('video', help='video file')
    parser.add_argument('--task', choices=['ava'], required=True, help='ava: actions of persons')
    parser.add_argument('--config', required=True, help='config of the action detector')
    parser.add_argument('--checkpoint', required=True, help='its weights')
    parser.add_argument('--det-config', help="config of a mmdet detector that finds persons, also one of mmdet's own")
    parser.add_argument('--det-checkpoint', help='its weights')
    parser.add_argument('--det-score-thr', type=float, default=0.8, help='minimum score of a person (%(default)s)')
    parser.add_argument('--det-classes', nargs='+', default=['person'], help="the detector's classes (%(default)s)")
    parser.add_argument('--boxes', help='JSON file with boxes by seconds, {"1.5": [[x1, y1, x2, y2]]}, in pixels')
    parser.add_argument('--action-score-thr', type=float, default=0.5, help='minimum score of an action (%(default)s)')
    parser.add_argument('--label-map', help="action list, .pbtxt (by default that of the config's test set)")
    parser.add_argument(
        '--step', type=float, default=1.0, help='interval in seconds at which persons are detected (%(default)s)'
    )
    parser.add_argument('--out-dir', default='demo_out', help='folder for the results (%(default)s)')
    parser.add_argument('--device', help='such as cuda:0 or cpu (by default a GPU if there is one)')


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.inference import ActionDetector

    detector = ActionDetector(
        arguments.config,
        arguments.checkpoint,
        det_config=arguments.det_config,
        det_checkpoint=arguments.det_checkpoint,
        det_score_thr=arguments.det_score_thr,
        det_classes=arguments.det_classes,
        action_score_thr=arguments.action_score_thr,
        label_file=arguments.label_map,
        device=arguments.device,
    )
    boxes = None if arguments.boxes is None else read_boxes(arguments.boxes)
    result = detector(arguments.video, boxes=boxes, step=arguments.step, out_dir=arguments.out_dir)
    for prediction in result['predictions']:
        for person in prediction['persons']:
            actions = ', '.join(f'{action["name"]} {action["score"]:.2f}' for action in person['actions'])
            print(f'{prediction["timestamp"]:.2f} s  {person["bbox"]}  {actions or "-"}')
    persons = sum(len(prediction['persons']) for prediction in result['predictions'])
    print(f'{persons} persons in {len(result["predictions"])} frames; written to {arguments.out_dir}.')


def read_boxes(path: str) -> dict:
    try:
        boxes = json.loads(Path(path).read_text(encoding='utf-8'))
        return {float(second): given for second, given in boxes.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(
            f"The file '{path}' can't be read as boxes by seconds, such as {{\"1.5\": [[10, 20, 50, 90]]}}: {error}."
        ) from error
