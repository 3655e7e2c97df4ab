"""Lists of files in mmaction2's and mmpretrain's format, ``path label`` a line."""

from collections.abc import Sequence
from pathlib import Path

from hiera_mm.called import command_line
from hiera_mm.errors import UserError, first_few


def read_video_list(path: str | Path) -> list[tuple[str, int]]:
    """Names and labels of a list of videos, see :func:`read_labelled_list`."""
    return read_labelled_list(path, 'video', remedy=f'make one with {command_line("make-video-list")}')


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
    for number, line in enumerate(Path(path).read_text(encoding='utf-8').splitlines(), start=1):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(' ')
        if not name or not label.isdigit():
            raise UserError(
                f"Line {number} of the {what} list '{path}' is '{line.strip()}'; each line must be a path, a space and "
                f'the number of a class.'
            )
        entries.append((name, int(label)))
    if not entries:
        raise UserError(f"The {what} list '{path}' is empty; {remedy}.")
    return entries
