"""Atomic writes: a file is either complete or not touched."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ENDING = '.unfinished'


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Yield a temporary path, whose file replaces ``path`` at the end, or is removed if writing fails."""
    path = Path(path)
    unfinished = path.with_name(f'{path.name}.{os.getpid()}{ENDING}')
    try:
        yield unfinished
        # Flush the content before the rename, and the folder after it, so that a power failure leaves one whole file.
        _flush(unfinished)
        os.replace(unfinished, path)
        _flush(path.parent)
    except OSError as error:
        if error.filename not in (None, str(unfinished)):
            raise
        # Report the final name: users don't know the temporary one.
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
    """Remove unfinished files that a killed process left behind."""
    for path in folder.glob(f'*{ENDING}'):
        path.unlink(missing_ok=True)
