"""The interface of a file format."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

KEY = 'hiera_mm'
"""Key of the description in a file's metadata."""

Session = Callable[..., list[np.ndarray]]
"""Computes outputs, in order, from inputs by name."""


class FileFormat(NamedTuple):
    """A file format.

    Attributes:
        name: Name used in messages.
        packages: The packages that writing needs.
        runtime: The package that runs a file.
        write: ``write(program, path, inputs, outputs, text)`` writes an exported program with its description.
        open: ``open(path)`` returns the description and a session.
        runs_code: Whether opening a file can run code in it.
    """

    name: str
    packages: tuple[str, ...]
    runtime: str
    write: Callable[..., None]
    open: Callable[[str], tuple[str, Session]]
    runs_code: bool = False
