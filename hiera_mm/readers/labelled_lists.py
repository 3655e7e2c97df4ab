"""Lists of files in mmaction2's and mmpretrain's format, one ``path label`` a line."""

import re
from collections.abc import Sequence
from pathlib import Path

from hiera_mm.errors import UserError, first_few
from hiera_mm.program import command_line
from hiera_mm.readers.class_names import class_names_file, class_names_of_list, numbers_by_name
from hiera_mm.readers.text import read_text

LINE = re.compile(r"""(["']?)(?P<name>.+?)\1[\s,;]+(?P<label>[0-9]{1,9})""")
"""A path, which may contain spaces or be quoted, a separator, and a number; spreadsheets' exports fit as well."""


def read_video_list(path: str | Path) -> list[tuple[str, int]]:
    """Read the names and labels in a list of videos, see :func:`read_labelled_list`."""
    return read_labelled_list(path, 'video', remedy=f'make one with {command_line("make-video-list")}')


def read_named_list(
    path: str | Path, classes: Sequence[str] | None
) -> tuple[list[tuple[str, int]], tuple[str, ...] | None]:
    """Read the names and labels in a list of videos, and the names of the classes.

    Args:
        path: The list; a file beside it may name its classes.
        classes: The model's classes, to which the list's labels are matched by name; None to take the list's classes.

    Raises:
        UserError: as :func:`read_labelled_list`, and for a label or a name that is not among the classes.
    """
    entries, names = read_video_list(path), class_names_of_list(path)
    known = names or classes
    nameless = [f'{name} ({label})' for name, label in entries if known is not None and label >= len(known)]
    if nameless:
        source = class_names_file(path) if names else 'metainfo.classes'
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
    """Refuse labels beyond a classification head's number of classes.

    Args:
        entries: Names and labels; the label is None for an unlabelled entry.
        classes: Number of classes of the head; None if the model has no head.
        what: What the entries are, in the plural, for messages.
        source: Where they come from.
        key: Key of the data set in the config.

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
    """Read names, which may contain spaces, and labels.

    Args:
        path: The list.
        what: What it lists, in the singular, for messages.
        remedy: What to do if there is no list.

    Raises:
        UserError: for a missing or empty file, or a line that does not end in a whole number.
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
                'a class number.'
            )
        entries.append((found['name'], int(found['label'])))
    if not entries:
        raise UserError(f"The {what} list '{path}' is empty; {remedy}.")
    return entries
