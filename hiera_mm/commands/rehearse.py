"""Rehearse a run from data to prediction file before it costs anything.

hiera-mm rehearse mask_rcnn_hiera_b --tiny

Exit code 1 if anything would fail. Several configs are rehearsed in separate processes.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from hiera_mm.atomic_write import atomic_write
from hiera_mm.commands.options import (
    add_common_options,
    add_training_options,
    add_verbose_option,
    apply_training_options,
    read_config,
)
from hiera_mm.errors import UserError

if TYPE_CHECKING:
    from hiera_mm.rehearsal import Stage


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('configs', nargs='+', help='config files')
    parser.add_argument(
        '--tiny', action='store_true', help="cut the backbone (and a masked autoencoder's decoder) in width and depth"
    )
    parser.add_argument(
        '--size', type=int, metavar='PIXELS', help='shrink larger images so that the longest side is this'
    )
    parser.add_argument('--out', metavar='FILE.json', help='file for the printed results, for one config')
    parser.add_argument('--jobs', type=int, default=1, help='configs to rehearse at once (default: 1)')
    add_training_options(parser)
    add_verbose_option(parser)
    add_common_options(parser, work_dir='keep the output in a new folder there')


def run(arguments: argparse.Namespace) -> int:
    if arguments.launcher != 'none':
        raise UserError('A rehearsal runs in one process; leave --launcher out.')
    if len(arguments.configs) > 1:
        if arguments.out or arguments.work_dir:
            raise UserError('--out and --work-dir are for the rehearsal of one config; leave them out for several.')
        return rehearse_all(arguments.configs, arguments.words, arguments.jobs)
    from hiera_mm.engine.console import console
    from hiera_mm.engine.run_length import set_run_length
    from hiera_mm.rehearsal import rehearse
    from hiera_mm.tasks import task_of

    arguments.config = arguments.configs[0]
    config = read_config(arguments)
    apply_training_options(config, arguments)
    # Without the data, epochs can't be converted; the recipe is then rehearsed as it is.
    with contextlib.suppress(UserError):
        set_run_length(config, task_of(config), arguments.config, arguments.cfg_options or ())
    with folder_for(arguments.work_dir) as folder, console(arguments.verbose):
        stages = rehearse(config, task_of(config), folder, arguments.tiny, arguments.size)
    failed = [stage for stage in stages if stage.outcome == 'failed']
    if arguments.traceback:
        print(*(stage.trace for stage in failed), sep='\n')
    print('', arguments.config, *table_lines(stages), sep='\n')
    print(f'{len(failed)} of {len(stages)} stages failed.' if failed else 'Nothing failed.')
    if arguments.out:
        with atomic_write(arguments.out) as path:
            path.write_text(json.dumps([asdict(stage) for stage in stages], indent=1))
    return 1 if failed else 0


@contextlib.contextmanager
def folder_for(work_dir: str | None) -> Iterator[str]:
    """A new folder inside ``work_dir``, or a temporary folder without one."""
    if work_dir:
        Path(work_dir).mkdir(parents=True, exist_ok=True)
        yield tempfile.mkdtemp(prefix='rehearsal_', dir=work_dir)
    else:
        with tempfile.TemporaryDirectory(prefix='rehearsal_') as folder:
            yield folder


def table_lines(stages: Sequence[Stage]) -> Iterator[str]:
    """Lines of a table, with notes or errors below each stage."""
    yield f'{"stage":22}{"outcome":13}{"seconds":>7}  memory'
    for stage in stages:
        held = [(stage.memory, ''), (stage.gpu_memory, ' on the GPU')]
        memory = ' + '.join(f'{size / 2**30:.1f} GiB{place}' for size, place in held if size)
        yield f'{stage.name:22}{stage.outcome:13}{stage.seconds:7.1f}  {memory}'.rstrip()
        yield from (f'    {words}' for words in stage.words)


def rehearse_all(configs: Sequence[str], words: Sequence[str], jobs: int) -> int:
    """Rehearse each config in its own process, print a line for each, and return the exit code."""
    options = [word for word in words if word not in configs]
    start, failed = time.perf_counter(), 0
    print(f'{"config":42}{"outcome":10}{"seconds":>7}  memory', flush=True)
    with ThreadPoolExecutor(jobs) as pool:
        for config, stages, seconds in pool.map(lambda config: rehearse_one(config, options, jobs), configs):
            wrong = [stage for stage in stages if stage['outcome'] == 'failed']
            failed += bool(wrong) or not stages
            most = max((stage['memory'] or 0 for stage in stages), default=0)
            outcome = 'passed' if stages and not wrong else 'failed'
            print(f'{Path(config).name:42}{outcome:10}{seconds:7.1f}  {most / 2**30:.1f} GiB', flush=True)
            for stage in wrong:
                print(f'    {stage["name"]}: {stage["words"][0]}', flush=True)
            if not stages:
                print('    it ended before its first stage; rehearse it alone to see why', flush=True)
    minutes = (time.perf_counter() - start) / 60
    print(f'{failed} of {len(configs)} configs failed, in {minutes:.1f} minutes.')
    return 1 if failed else 0


def rehearse_one(config: str, options: Sequence[str], jobs: int) -> tuple[str, list[dict], float]:
    """The config, its stages (empty if the rehearsal failed to start), and seconds."""
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix='rehearsals_') as folder:
        out = Path(folder, 'stages.json')
        command = [sys.executable, '-m', 'hiera_mm', 'rehearse', config, *options, '--out', str(out)]
        environment = dict(os.environ, OMP_NUM_THREADS=threads)
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stages = json.loads(out.read_text()) if out.is_file() else []
    return config, stages, time.perf_counter() - start
