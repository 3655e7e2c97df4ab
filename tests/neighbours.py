"""Run another package's own tests with hiera_mm imported, and fail if one fails that passes without it.

python -m tests.neighbours FOLDER_OF_ITS_REPOSITORY [pytest options]

The installed package is tested, so its source folder is put aside for the time.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', type=Path, help='a clone of the repository, at the installed version')
    parser.add_argument('source', help='its source folder, such as mmengine')
    arguments, options = parser.parse_known_args()
    with put_aside(arguments.folder / arguments.source):
        without = outcomes(arguments.folder, options)
        beside = outcomes(arguments.folder, ['-p', 'hiera_mm', *options])
    worse = sorted(name for name, passed in beside.items() if not passed and without.get(name, True))
    print(f'{sum(without.values())} of {len(without)} tests pass without hiera_mm, {sum(beside.values())} with it.')
    for name in worse:
        print(f'fails with hiera_mm only: {name}')
    sys.exit(bool(worse) or not without)


@contextlib.contextmanager
def put_aside(folder: Path) -> Iterator[None]:
    aside = folder.with_name(f'_{folder.name}')
    folder.rename(aside)
    try:
        yield
    finally:
        aside.rename(folder)


def outcomes(folder: Path, options: list[str]) -> dict[str, bool]:
    """Whether each test passed, by name; skipped ones are left out."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, 'report.xml')
        command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', f'--junitxml={report}', *options]
        subprocess.run(command, cwd=folder)
        cases = list(ElementTree.parse(report).iter('testcase')) if report.is_file() else []
    names = {f'{case.get("classname")}::{case.get("name")}': {part.tag for part in case} for case in cases}
    return {name: not tags & {'failure', 'error'} for name, tags in names.items() if 'skipped' not in tags}


if __name__ == '__main__':
    main()
