"""Errors that a user can fix."""

import importlib.util
import re
import sys
from collections.abc import Sequence

from hiera_mm.program import command_line


class UserError(Exception):
    """A fault in the input, as one sentence: what is wrong, with which file or key, and what to do."""


class BrokenFileError(UserError):
    """An image, video or volume that is missing, damaged or of another type, or whose frames can't be read."""


class UnclearFileError(UserError):
    """A file that could be read in several ways, of which only its owner knows the right one."""


def user_message(error: BaseException) -> str:
    """The sentence of a :class:`UserError`, also of one from a data loader's worker."""
    # torch re-raises a worker's error with the worker's whole traceback as its message.
    from_worker = re.findall(rf'^[\w.]*{type(error).__name__}: (.*)$', str(error), flags=re.MULTILINE)
    return from_worker[-1] if from_worker else str(error)


def examples(found: Sequence[object]) -> str:
    """The number of items and the first three: ``'4 (a, b, c, ...)'``."""
    return f'{len(found)} ({first_few(found)})'


def first_few(found: Sequence[object], count: int = 3) -> str:
    """The first items: ``'a, b, c, ...'``."""
    return ', '.join(map(str, found[:count])) + (', ...' if len(found) > count else '')


def first_line(text: str) -> str:
    """The first line of a message that is not blank; empty if there is none."""
    return next((line.strip() for line in text.splitlines() if line.strip()), '')


def require_packages(*names: str) -> None:
    """Check that packages are installed before something imports them.

    Raises:
        ImportError: naming the missing packages and the command that installs them.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f'hiera_mm needs {", ".join(missing)}, not installed in {sys.prefix}; install it with its extra, '
            "'hiera_mm[openmmlab]', or in a clone run: bash tools/setup.sh && source .venv/bin/activate "
            f'({command_line("check-env")} says what else is wrong).'
        )


def require_extra(package: str, extra: str, distribution: str | None = None) -> None:
    """Check that an optional package is installed before something imports it.

    Args:
        package: The package to import.
        extra: This package's extra that installs it.
        distribution: Its name for pip, if different.

    Raises:
        UserError: naming the package and the command that installs it.
    """
    if importlib.util.find_spec(package) is None:
        raise UserError(
            f"This needs the package {package}, which is not installed; run: pip install 'hiera_mm[{extra}]' (in a "
            f'clone: pip install {distribution or package}).'
        )
