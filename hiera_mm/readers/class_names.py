"""Files with class names beside a list, and class numbers by name."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hiera_mm.errors import UserError, examples
from hiera_mm.readers.text import read_text

ENDING = '.classes'


def class_names_file(ann_file: str | Path) -> Path:
    """The file beside a list that names its classes, one a line, in the order of their numbers."""
    return Path(f'{ann_file}{ENDING}')


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """Read class names, one a line.

    Raises:
        UserError: if the file is missing or empty, or repeats a name.
    """
    if not Path(path).is_file():
        raise UserError(f"The file of class names '{path}' does not exist; correct the path.")
    names = tuple(line.strip() for line in read_text(path, 'file of class names').splitlines() if line.strip())
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated or not names:
        raise UserError(
            f"The file of class names '{path}' has {examples(repeated)} more than once; give each class its own name."
            if repeated
            else f"The file of class names '{path}' is empty; write one name a line."
        )
    return names


def classes_from(given: Sequence[str] | str) -> tuple[str, ...]:
    """The class names that a config gives as a sequence or as a file.

    Raises:
        UserError: for a string that is not a file, and as :func:`read_class_names`.
    """
    if isinstance(given, str) and not Path(given).is_file():
        raise UserError(
            f"The classes are the string '{given}', which is not a file of names; write classes = ('{given}',)."
        )
    return read_class_names(given) if isinstance(given, str) else tuple(given)


def with_class_names(metainfo: dict | None) -> dict | None:
    """A data set's ``metainfo`` with the file of class names replaced by the names."""
    if not metainfo or 'classes' not in metainfo:
        return metainfo
    return {**metainfo, 'classes': classes_from(metainfo['classes'])}


def class_names_of_list(ann_file: str | Path) -> tuple[str, ...] | None:
    """The class names beside a list; None without such a file."""
    path = class_names_file(ann_file)
    return read_class_names(path) if path.is_file() else None


def numbers_by_name(names: Sequence[str], classes: Sequence[str], source: str | Path) -> list[int]:
    """The index in ``classes`` of each of ``names``; without an exact match, case is ignored.

    Raises:
        UserError: naming those that are not among the classes.
    """
    numbers = {name.casefold(): number for number, name in enumerate(classes)}
    numbers |= {name: number for number, name in enumerate(classes)}
    unknown = [name for name in names if name not in numbers and name.casefold() not in numbers]
    if unknown:
        raise UserError(
            f"{examples(unknown)} of the {len(names)} classes of '{source}' are not among the {len(classes)} classes "
            f'of the model, such as {examples(list(classes)[:3])}; correct the names, or add them to the classes.'
        )
    return [numbers[name if name in numbers else name.casefold()] for name in names]
