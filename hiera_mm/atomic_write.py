"""Files that are there whole, or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENDING = '.unfinished'


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """A path to write to, whose file takes the place of ``path`` at the end, or goes away if writing fails."""
    path = Path(path)
    unfinished = path.with_name(f'{path.name}.{os.getpid()}{ENDING}')
    try:
        yield unfinished
        # On the disk before it has the name, and then the name: a machine that loses power keeps one whole file.
        _flush(unfinished)
        os.replace(unfinished, path)
        _flush(path.parent)
    except OSError as error:
        if error.filename not in (None, str(unfinished)):
            raise
        # What writes to an open file does not know its name, and nobody else knows the unfinished one's.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        unfinished.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process has left half-written."""
    for path in folder.glob(f'*{ENDING}'):
        path.unlink(missing_ok=True)
