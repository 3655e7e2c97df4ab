"""Errors that a user can fix."""

import importlib.util
import re
import sys
from collections.abc import Sequence

from hiera_mm.program import command_line


class UserError(Exception):
    """A fault in the input, told as one sentence: what is wrong, with which file or key, what to do."""


class BrokenFileError(UserError):
    """A picture or video that is missing, damaged or none, or from which the wanted frames can't be read."""


def user_message(error: BaseException) -> str:
    """The sentence of a :class:`UserError`, also of one that a data-loading process passed on."""
    # torch re-raises a worker's error with the worker's whole traceback as its text.
    passed_on = re.findall(rf'^[\w.]*{type(error).__name__}: (.*)$', str(error), flags=re.MULTILINE)
    return passed_on[-1] if passed_on else str(error)


def examples(found: Sequence[object]) -> str:
    """How many were found and the first three: ``'4 (a, b, c, ...)'``."""
    return f'{len(found)} ({first_few(found)})'


def first_few(found: Sequence[object], count: int = 3) -> str:
    """``'a, b, c, ...'``."""
    return ', '.join(map(str, found[:count])) + (', ...' if len(found) > count else '')


def first_line(text: str) -> str:
    """Of what somebody else says at length; empty if they say nothing."""
    return next((line.strip() for line in text.splitlines() if line.strip()), '')


def require_packages(*names: str) -> None:
    """Name a package that is missing, and the command that brings it, before something imports it.

    Raises:
        ImportError: in one sentence.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f'hiera_mm needs {", ".join(missing)}, not installed in {sys.prefix}; install it with its extra, '
            f"'hiera_mm[openmmlab]', or in a clone run: bash tools/setup.sh && source .venv/bin/activate "
            f'({command_line("check-env")} says what else is wrong).'
        )


def require_extra(package: str, extra: str, distribution: str | None = None) -> None:
    """Name an optional package that is missing, and the command that brings it, before something imports it.

    Args:
        package: To be imported.
        extra: Of this suite, which brings it.
        distribution: What pip calls it, if not the same.

    Raises:
        UserError: in one sentence.
    """
    if importlib.util.find_spec(package) is None:
        raise UserError(
            f"This needs the package {package}, which is not installed; run: pip install 'hiera_mm[{extra}]' (in a "
            f'clone: pip install {distribution or package}).'
        )
