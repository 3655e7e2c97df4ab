"""Files that are there whole, or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """A path to write to, whose file takes the place of ``path`` at the end, or goes away if writing fails."""
    path = Path(path)
    unfinished = path.with_name(f'{path.name}.{os.getpid()}.unfinished')
    try:
        yield unfinished
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
