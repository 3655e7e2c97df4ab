"""Text files in common encodings, and folders without hidden files."""

import codecs
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hiera_mm.errors import UserError

BYTE_ORDER_MARKS = {codecs.BOM_UTF8: 'utf-8-sig', codecs.BOM_UTF16_LE: 'utf-16', codecs.BOM_UTF16_BE: 'utf-16'}
"""Byte-order marks, which Windows' editors and Excel write, and the encodings they announce."""


def read_text(path: str | Path, what: str) -> str:
    """Read a file in UTF-8, with or without a byte-order mark, or in UTF-16 with one.

    Args:
        path: An existing file.
        what: What the file is, for messages.

    Raises:
        UserError: for another encoding, naming the line, or a file that is not text.
    """
    content = Path(path).read_bytes()
    encoding = next((name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), 'utf-8')
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b'\n') + 1
        raise UserError(
            f"Line {line} of the {what} '{path}' is not in UTF-8; save the file as UTF-8, or correct the path if it is "
            'not a text file.'
        ) from error
    if '\0' in text:
        raise UserError(f"The {what} '{path}' is not a text file in UTF-8; save it as UTF-8, or correct the path.")
    return text


def is_hidden(name: str) -> bool:
    """Whether a file or folder is hidden or was put there by the operating system."""
    return name.startswith('.') or name in ('__MACOSX', '__pycache__', 'Thumbs.db', 'desktop.ini', '@eaDir')


def files_below(folder: str | Path, endings: Sequence[str] | None = None) -> Iterator[Path]:
    """All files in a folder and its subfolders, in alphabetical order, except hidden ones.

    Args:
        folder: Where to look.
        endings: Endings of the files, in lower case, such as ``('.mp4',)``; case is ignored. None for all files.
    """
    seen = {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, followlinks=True):
        # A link to a folder that is walked through anyway would give its files twice, or without end.
        links_last = sorted(folders, key=lambda name: (os.path.islink(os.path.join(place, name)), name))
        folders[:] = sorted(name for name in links_last if not is_hidden(name) and _is_new(place, name, seen))
        for name in sorted(names):
            if not is_hidden(name) and (endings is None or name.lower().endswith(tuple(endings))):
                yield Path(place, name)


def _is_new(place: str, name: str, seen: set[str]) -> bool:
    """Whether a folder was not seen before; links count as what they name."""
    real, count = os.path.realpath(os.path.join(place, name)), len(seen)
    seen.add(real)
    return len(seen) > count


def folders_in(folder: str | Path) -> list[str]:
    """Names of the folders in a folder, in alphabetical order, except hidden ones."""
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not is_hidden(entry.name))
