"""The commands of ``hiera-mm``: one module each, with ``add_arguments(parser)`` and ``run(arguments)``.

The modules import nothing heavy before ``run``, so that help appears at once. Options are named as in mmdet where it
has them.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from types import ModuleType

from hiera_mm.program import command_line
from hiera_mm.version import __version__

GROUPS = {
    'before training': (
        'check-env',
        'configs',
        'start',
        'init',
        'make-data',
        'make-video-list',
        'check-data',
        'label-masks',
        'plan',
        'rehearse',
    ),
    'training and testing': ('train', 'test', 'report'),
    'using models': ('predict', 'label', 'select', 'serve', 'bench', 'export', 'publish', 'push', 'probe', 'weights'),
    'others': ('run',),
}
COMMANDS = tuple(command for commands in GROUPS.values() for command in commands)
WITHOUT_TORCH = ('check-env', 'configs', 'init')
"""Commands that read files only, or say what can't be imported."""

FORMER_NAMES = {'flops': 'plan'}


def main(command: str | None = None, arguments: Sequence[str] | None = None) -> None:
    """Run a command, by default the first of the arguments, and exit with its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if command is None:
        command, words = _chosen(words), words[1:]
    module = module_of(command)
    parser = argparse.ArgumentParser(
        prog=command_line(command),
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.add_argument('--traceback', action='store_true', help='print the whole trace behind an error')
    parsed = parser.parse_args(words)
    parsed.words = words
    if command not in WITHOUT_TORCH:
        import hiera_mm.registration  # noqa: F401
    from hiera_mm.commands.faults import as_sentences

    with as_sentences(parsed.traceback):
        code = module.run(parsed)
    sys.exit(code)


def module_of(command: str) -> ModuleType:
    return importlib.import_module(f'hiera_mm.commands.{command.replace("-", "_")}')


def _chosen(words: Sequence[str]) -> str:
    if not words or words[0] in ('-h', '--help', 'help'):
        print(_overview())
        sys.exit(0)
    if words[0] == '--version':
        print(f'hiera-mm {__version__}')
        sys.exit(0)
    command = FORMER_NAMES.get(words[0], words[0])
    if command not in COMMANDS:
        close = get_close_matches(words[0], COMMANDS, n=1)
        hint = f'did you mean {close[0]}? ' if close else ''
        print(f"Error: '{words[0]}' is not a command; {hint}hiera-mm --help lists them.", file=sys.stderr)
        sys.exit(2)
    return command


def _overview() -> str:
    lines = ['Hiera for OpenMMLab. Usage: hiera-mm COMMAND ..., and hiera-mm COMMAND --help for its options.']
    for group, commands in GROUPS.items():
        lines += ['', f'{group}:']
        lines += [f'  {command:17}{_first_line(module_of(command))}' for command in commands]
    return '\n'.join(lines)


def _first_line(module: ModuleType) -> str:
    return (module.__doc__ or '').splitlines()[0].rstrip('.')
