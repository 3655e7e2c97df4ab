"""Wait until this machine is quiet, or refuse to measure on it: ``python -m benchmarks.quiet && python -m ...``.

Times on a machine that others use are no times of the code. A machine is quiet if other processes use less than 0.3 of
a processor over five seconds.
"""

import argparse
import time

import hiera_mm  # noqa: F401  (first: it repairs what other imports need)
from hiera_mm.commands.faults import as_sentences
from hiera_mm.errors import UserError, examples

import psutil

MOST_USED = 0.3
"""Processors that may be used by others."""

SECONDS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=5, help='how long to wait for it at most (%(default)s)')
    wait_until_quiet(parser.parse_args().minutes)


def wait_until_quiet(minutes: float) -> None:
    """Return when the machine is quiet.

    Raises:
        UserError: if it isn't within the minutes, naming what uses it.
    """
    end = time.monotonic() + 60 * minutes
    while True:
        used, names = used_by_others()
        if used < MOST_USED:
            return
        if time.monotonic() > end:
            raise UserError(
                f'Other processes use {used:.1f} of the {psutil.cpu_count()} processors, such as {examples(names)}, so '
                'nothing is measured; end them, and run the command again.'
            )


def used_by_others() -> tuple[float, list[str]]:
    """How many processors are in use while this process sleeps, and the programs that use most."""
    programs = [program for program in psutil.process_iter(['name']) if program.pid != psutil.Process().pid]
    for program in programs:
        _used(program)
    psutil.cpu_percent()
    time.sleep(SECONDS)
    used = psutil.cpu_percent() / 100 * psutil.cpu_count()
    busy = sorted(programs, key=_used, reverse=True)
    return used, [f'{program.info["name"]} ({program.pid})' for program in busy[:3]]


def _used(program: psutil.Process) -> float:
    """Since the last call for this process."""
    try:
        return program.cpu_percent()
    except psutil.Error:
        return 0.0


if __name__ == '__main__':
    with as_sentences():
        main()
