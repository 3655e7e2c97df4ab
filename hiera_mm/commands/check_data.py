"""Look for faults in the data that a config names.

Exit code 1 if there are any. Without faults a sheet of samples with their annotations is written to the work folder for
each data set: images with boxes, masks or classes, clips as film strips, volumes in three cuts.
"""

from __future__ import annotations

import argparse
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hiera_mm.commands.options import add_common_options, add_config_argument, read_config

if TYPE_CHECKING:
    from hiera_mm.checks.fault import Fault
    from hiera_mm.tasks import Task

    from mmengine.config import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)
    parser.add_argument(
        '--videos',
        default='100',
        help='videos of each list or AVA set, or images of each class set, to decode, or "all" (default: %(default)s)',
    )
    parser.add_argument(
        '--near-duplicates',
        action='store_true',
        help='read all images, and list those of validation and testing that show the same as one of training',
    )
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> int:
    from hiera_mm.checks.fault import Severity
    from hiera_mm.tasks import faults_of, task_of

    config = read_config(arguments)
    count = None if arguments.videos == 'all' else int(arguments.videos)
    counts: Counter[Severity] = Counter()
    found = faults_of(config, count=count)
    if arguments.near_duplicates:
        found = itertools.chain(found, _near_duplicates(config, counts))
    for fault in found:
        counts[fault.severity] += 1
        print(f'Note: {fault.sentence}' if fault.severity is Severity.NOTE else fault.sentence)
    notes, unchecked = counts[Severity.NOTE], counts[Severity.UNCHECKED]
    faults = counts.total() - notes - unchecked
    if not faults:
        _draw_sheets(config, task_of(config))
    rest = f'; {_counted(unchecked, "data set")} not checked' if unchecked else ''
    print(f'{_counted(faults, "fault")}, {_counted(notes, "note")}{rest}.')
    return 1 if faults else 0


def _near_duplicates(config: Config, counts: Counter) -> Iterator[Fault]:
    """Those of sets without other faults, which could not be built."""
    from hiera_mm.checks.fault import Fault, Severity
    from hiera_mm.inference.near_duplicates import faults

    if counts[Severity.BLOCKS]:
        yield Fault(Severity.UNCHECKED, 'Near-duplicates: not looked for, as the faults above come first.')
    else:
        yield from faults(config, Path(config.work_dir, 'data', 'near_duplicates.csv'))


def _counted(number: int, word: str) -> str:
    return f'{number} {word}' if number == 1 else f'{number} {word}s'


def _draw_sheets(config: Config, task: Task) -> None:
    from hiera_mm.checks.run import LOADERS, data_sets

    drawn: list = []
    for loader in LOADERS:
        for key, dataset, kind in data_sets(config, loader):
            if kind is None or dataset in drawn or dataset.get('backend_args'):
                continue
            drawn.append(dataset)
            path = Path(config.work_dir, 'data', f'{key.replace("_dataloader.dataset", "")}.png')
            sheet = task.draw_sheet(dataset, kind, config.get('default_scope'), path)
            if sheet.counted:
                print(f'{key}: {sheet.counted}')
            if sheet.samples:
                print(f'{sheet.samples} samples of {key} with their annotations: {path}')
