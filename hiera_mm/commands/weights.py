"""List published weights, describe them, or convert them to another format.

hiera-mm weights list
hiera-mm weights info SRC
hiera-mm weights convert SRC DST --to FORMAT
"""

import argparse

from hiera_mm.weights.formats import TARGETS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest='action', required=True)
    actions.add_parser('list', help='every published checkpoint')
    source = argparse.ArgumentParser(add_help=False)
    source.add_argument('source', metavar='SRC', help='path, URL, or a name that "list" shows')
    actions.add_parser('info', parents=[source], help='describe a checkpoint')
    conversion = actions.add_parser('convert', parents=[source], help='write a checkpoint in another format')
    conversion.add_argument('destination', metavar='DST', help='new file, ending in .pth, .pt or .safetensors')
    conversion.add_argument('--to', required=True, choices=TARGETS, help='format')


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.weights.convert import convert, show, show_zoo

    if arguments.action == 'list':
        show_zoo()
    elif arguments.action == 'info':
        show(arguments.source)
    else:
        convert(arguments.source, arguments.destination, arguments.to)
