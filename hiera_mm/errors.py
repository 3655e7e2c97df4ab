"""Errors that a user can mend."""

import re


class UserError(Exception):
    """A fault in the input, told as one sentence: what is wrong, with which file or key, what to do."""


def sentence_of(error: BaseException) -> str:
    """The sentence of a :class:`UserError`, also of one that a data-loading process passed on."""
    # torch re-raises a worker's error with the worker's whole traceback as its text.
    passed_on = re.findall(rf'^[\w.]*{UserError.__name__}: (.*)$', str(error), flags=re.MULTILINE)
    return passed_on[-1] if passed_on else str(error)
