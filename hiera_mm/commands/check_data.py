"""Look for faults in the data that a config names.

Exit code 1 if there are any.
"""

import argparse

from hiera_mm.commands.options import add_common_options, add_config_argument, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)
    parser.add_argument(
        '--videos',
        default='100',
        help='videos of each list or AVA set, or images of each class set, to decode, or "all" (default: %(default)s)',
    )
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from hiera_mm.checks.run import inspect_data

    count = None if arguments.videos == 'all' else int(arguments.videos)
    faults = 0
    for sentence in inspect_data(read_config(arguments), count):
        faults += not sentence.startswith('Note: ')
        print(sentence)
    print(f'{faults} faults found.' if faults else 'No fault found.')
    return 1 if faults else 0
