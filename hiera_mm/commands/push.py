"""Upload a published folder to the Hugging Face hub.

hiera-mm push FOLDER OWNER/NAME

Log in first with 'hf auth login'. Everyone with access can then use it as hf://OWNER/NAME.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('folder', type=Path, help="folder that 'hiera-mm publish' wrote")
    parser.add_argument('name', metavar='OWNER/NAME', help='name on the hub')
    parser.add_argument('--private', action='store_true', help='make it visible to you alone')


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.weights.published import push

    print(f'Use it as {push(arguments.folder, arguments.name, arguments.private)}')
