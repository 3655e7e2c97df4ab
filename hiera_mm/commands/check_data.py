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
    from hiera_mm.checks.fault import Severity
    from hiera_mm.checks.run import faults_of

    count = None if arguments.videos == 'all' else int(arguments.videos)
    faults = 0
    for fault in faults_of(read_config(arguments), count=count):
        note = fault.severity is Severity.NOTE
        faults += not note
        print(f'Note: {fault.sentence}' if note else fault.sentence)
    print(f'{faults} faults found.' if faults else 'No fault found.')
    return 1 if faults else 0
