"""Prints errors of a command as sentences."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator

import hiera_mm.registration  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.explain import explain


@contextlib.contextmanager
def as_sentences(with_trace: bool = False) -> Iterator[None]:
    """End the program with one sentence and exit code 1 for every error that :mod:`hiera_mm.explain` knows.

    Args:
        with_trace: Print the traceback before the sentence.
    """
    # A log file on a full disk would print a traceback for each line; other files there end the command anyway.
    logging.raiseExceptions = with_trace
    try:
        yield
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        sys.stdout.flush()
        if with_trace:
            traceback.print_exception(error)
        print(f'Error: {sentence}', file=sys.stderr)
        sys.exit(1)
