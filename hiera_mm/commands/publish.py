"""Write a trained model as a folder that others can use.

hiera-mm publish CHECKPOINT FOLDER

FOLDER gets the weights alone (safetensors), the settings as data, class names, and a README with metrics, licence and
use, ready for the Hugging Face hub ('hiera-mm push'). It is a MODEL for 'hiera-mm predict', a CHECKPOINT for
'hiera-mm test', and loading it executes nothing.
"""

import argparse
from pathlib import Path

from hiera_mm.commands.options import add_newest_option, add_trust_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('checkpoint', help='a checkpoint, or the folder of a run for its best one')
    parser.add_argument('folder', type=Path, help='new folder')
    parser.add_argument('--config', help='config of the model, if its file does not contain it')
    add_newest_option(parser)
    add_trust_option(parser)
    parser.add_argument('--classes', metavar='FILE', help='names of the classes, one per line; for actions a .pbtxt')
    parser.add_argument(
        '--license', help='licence by its name on the hub, such as apache-2.0 (default: that of the initial weights)'
    )
    parser.add_argument(
        '--example', metavar='IMAGE', help='image for the README, shown with the objects that are found'
    )


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.commands.options import chosen_checkpoint, read_names
    from hiera_mm.inference.publish import publish
    from hiera_mm.tasks import load

    checkpoint = chosen_checkpoint(arguments.checkpoint, arguments.newest)
    predictor = load(checkpoint, arguments.config, 'cpu', read_names(arguments.classes), arguments.trust)
    described = publish(predictor, arguments.folder, arguments.license, arguments.example)
    size = sum(path.stat().st_size for path in arguments.folder.iterdir()) / 2**20
    licence = described['licence'] or 'unknown, so its README says "other"; state it with --license'
    print(f'{arguments.folder}: {described["task"]}, {size:.1f} MiB, licence {licence}.')
    if not described['metrics']:
        print('The logs next to the checkpoint have no validation of these weights, so the README gives no metrics.')
