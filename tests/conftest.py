"""Loads the fixtures, which import everything, but not where pytest only hands out the tests to other processes."""

import os
import sys


def only_hands_out() -> bool:
    """Whether ``-n`` is given and this is not one of the processes that it starts."""
    return any(word.startswith('-n') for word in sys.argv[1:]) and 'PYTEST_XDIST_WORKER' not in os.environ


pytest_plugins = [] if only_hands_out() else ['tests.fixtures']
