"""Lists of files in mmaction2's and mmpretrain's format, ``path label`` a line."""

import re
from collections.abc import Sequence
from pathlib import Path

from hiera_mm.errors import UserError, first_few
from hiera_mm.program import command_line
from hiera_mm.readers.class_names import names_file, names_of_list, numbers_by_name
from hiera_mm.readers.text import read_text

LINE = re.compile(r"""(["']?)(?P<name>.+?)\1[\s,;]+(?P<label>[0-9]{1,9})""")
"""A path, which may hold blanks and stand in quotes, something between, and a number; also as spreadsheets write it."""


def read_video_list(path: str | Path) -> list[tuple[str, int]]:
    """Names and labels of a list of videos, see :func:`read_labelled_list`."""
    return read_labelled_list(path, 'video', remedy=f'make one with {command_line("make-video-list")}')


def read_named_list(
    path: str | Path, classes: Sequence[str] | None
) -> tuple[list[tuple[str, int]], tuple[str, ...] | None]:
    """Names and labels of a list of videos, numbered as ``classes`` are, and the names of the classes.

    Args:
        path: The list; its own names may lie beside it.
        classes: Of the model, by which the list's labels are told by name; None to take the list's names.

    Raises:
        UserError: as :func:`read_labelled_list`, and for a label or a name that is not among the classes.
    """
    entries, names = read_video_list(path), names_of_list(path)
    known = names or classes
    nameless = [f'{name} ({label})' for name, label in entries if known is not None and label >= len(known)]
    if nameless:
        source = names_file(path) if names else 'metainfo.classes'
        raise UserError(
            f"{len(nameless)} videos in '{path}' have labels beyond the {len(known or ())} names in '{source}', such "
            f'as {first_few(nameless)}; correct the list or the names.'
        )
    if names is None or classes is None:
        return entries, None if known is None else tuple(known)
    numbers = numbers_by_name(names, classes, path)
    return [(name, numbers[label]) for name, label in entries], tuple(classes)


def check_labels(
    entries: Sequence[tuple[str, int | None]], classes: int | None, what: str, source: str | Path, key: str
) -> None:
    """Refuse labels that a classification head does not have.

    Args:
        entries: Names and labels, None without labels.
        classes: Of the head; None if the model has none.
        what: The entries are, in the plural, for messages.
        source: Where they are from.
        key: Place of the data set in the config.

    Raises:
        UserError: naming the first such entries.
    """
    if classes is None:
        return
    beyond = [f'{name} ({label})' for name, label in entries if label is not None and label >= classes]
    if beyond:
        raise UserError(
            f"{len(beyond)} {what} in '{source}' of {key} have labels outside 0 to {classes - 1}, such as "
            f'{first_few(beyond)}; correct the list or set model.cls_head.num_classes.'
        )


def read_labelled_list(path: str | Path, what: str, remedy: str) -> list[tuple[str, int]]:
    """Names, which may hold blanks, and labels.

    Args:
        path: The list.
        what: It lists, in the singular, for messages.
        remedy: What to do if there is no list.

    Raises:
        UserError: for a missing or empty file, or a line without a whole number at its end.
    """
    if not Path(path).is_file():
        raise UserError(f"The {what} list '{path}' does not exist; {remedy}, or correct ann_file.")
    entries = []
    for number, line in enumerate(read_text(path, f'{what} list').splitlines(), start=1):
        if not line.strip():
            continue
        found = LINE.fullmatch(line.strip())
        if not found:
            raise UserError(
                f"Line {number} of the {what} list '{path}' is '{line.strip()}'; each line must be a path, a space and "
                f'the number of a class.'
            )
        entries.append((found['name'], int(found['label'])))
    if not entries:
        raise UserError(f"The {what} list '{path}' is empty; {remedy}.")
    return entries
