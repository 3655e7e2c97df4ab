"""Faults of a command as sentences."""

import contextlib
import logging
import sys
import traceback
from collections.abc import Iterator

import hiera_mm.registration  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.explain import explain


@contextlib.contextmanager
def as_sentences(with_trace: bool = False) -> Iterator[None]:
    """End the program with one sentence and exit code 1 for every fault that :mod:`hiera_mm.explain` knows.

    Args:
        with_trace: Print the whole trace before the sentence.
    """
    # A log file on a full disk would give a trace for each line; what else is written there ends the command.
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
