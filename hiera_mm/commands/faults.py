"""Prints errors of a command as sentences."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator

from hiera_mm.errors import UserError, user_message


@contextlib.contextmanager
def as_sentences(with_trace: bool = False) -> Iterator[None]:
    """End the program with one sentence and exit code 1 for every error that :mod:`hiera_mm.explain` knows, and with
    exit code 130 after Ctrl-C.

    Args:
        with_trace: Print the traceback before the sentence.
    """
    # A log file on a full disk would print a traceback for each line; other files there end the command anyway.
    logging.raiseExceptions = with_trace
    try:
        yield
    except KeyboardInterrupt:
        if with_trace:
            raise
        sys.stdout.flush()
        print('Interrupted.', file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        sentence = user_message(error) if isinstance(error, UserError) else _explained(error)
        if sentence is None:
            raise
        sys.stdout.flush()
        if with_trace:
            traceback.print_exception(error)
        _show(sentence)
        sys.exit(1)


def _show(sentence: str) -> None:
    """On a terminal in a frame, so that it stands out below what was printed before."""
    try:
        from rich.console import Console
        from rich.panel import Panel
        from rich.text import Text
    except ImportError:  # in a broken environment, where check-env runs all the same
        framed = False
    else:
        framed = sys.stderr.isatty()
    if not framed:
        print(f'Error: {sentence}', file=sys.stderr)
        return
    Console(stderr=True).print(Panel(Text(sentence), title='Error', title_align='left', border_style='red'))


def _explained(error: Exception) -> str | None:
    # Imported late, for commands that need no torch; first what repairs the other imports.
    import hiera_mm.registration  # noqa: F401
    from hiera_mm.explain import explain

    return explain(error)
