"""What each file format gives."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

KEY = 'hiera_mm'
"""Name of the description in a file's metadata."""

Session = Callable[..., list[np.ndarray]]
"""From inputs by name to outputs in order."""


class FileFormat(NamedTuple):
    """A file format.

    Attributes:
        name: As messages call it.
        packages: The packages that writing needs.
        runtime: The package that runs a file.
        write: ``write(program, path, inputs, outputs, text)`` writes an exported program with its description.
        open: ``open(path)`` gives the description and a session.
    """

    name: str
    packages: tuple[str, ...]
    runtime: str
    write: Callable[..., None]
    open: Callable[[str], tuple[str, Session]]
