"""How this program was started, so that messages name commands as the user typed them and ``--help`` needs no torch."""

import multiprocessing
import sys
from pathlib import Path

SCRIPTS = ('train', 'test')
"""Commands that also exist as scripts in ``tools/``, as in OpenMMLab's packages."""


def command_line(command: str) -> str:
    """``'hiera-mm train'``, ``'python -m hiera_mm train'`` or ``'python tools/train.py'``."""
    program = Path(sys.argv[0])
    if program.name == '__main__.py' and program.parent.name == 'hiera_mm':
        return f'python -m hiera_mm {command}'
    if _is_a_script(program) and command in SCRIPTS:
        return f'python tools/{command}.py'
    return f'hiera-mm {command}'


def a_command_starts() -> bool:
    """Whether this process is one of this package's commands, which parse their arguments before any slow import."""
    if multiprocessing.parent_process() is not None or not sys.argv:
        return False
    if sys.argv[0] == '-m':
        return 'hiera_mm' in sys.orig_argv[sys.orig_argv.index('-m') + 1 :][:1]
    program = Path(sys.argv[0])
    return program.name in ('hiera-mm', 'hiera-mm.exe') or _is_a_script(program)


def _is_a_script(program: Path) -> bool:
    folder = Path(__file__).absolute().parents[1] / 'tools'
    return program.stem in SCRIPTS and program.suffix == '.py' and program.absolute().parent == folder
