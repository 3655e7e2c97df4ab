"""Look for faults in the data that a config names: ``python tools/check_dataset.py CONFIG``; exit code 1 if any."""

import argparse
import sys

import hiera_mm  # noqa: F401  (first: it mends what the imports below need)
from hiera_mm.cli import add_common_options, faults_as_sentences, read_config
from hiera_mm.datasets.faults import inspect_data


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--videos',
        default='100',
        help='videos of each list or AVA set, or images of each class set, to decode, or "all" (default: %(default)s)',
    )
    add_common_options(parser)
    arguments = parser.parse_args()
    count = None if arguments.videos == 'all' else int(arguments.videos)
    faults = 0
    for sentence in inspect_data(read_config(arguments), count):
        faults += not sentence.startswith('Note: ')
        print(sentence)
    print(f'{faults} faults found.' if faults else 'No fault found.')
    sys.exit(1 if faults else 0)


if __name__ == '__main__':
    with faults_as_sentences():
        main()
