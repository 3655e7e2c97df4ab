"""The names of a list's classes, which lie beside it, and labels that mean the same by name."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from hiera_mm.errors import UserError, examples
from hiera_mm.readers.text import read_text

ENDING = '.classes'


def names_file(ann_file: str | Path) -> Path:
    """Where the names of a list's classes lie: one a line, in the order of their numbers."""
    return Path(f'{ann_file}{ENDING}')


def read_class_names(path: str | Path) -> tuple[str, ...]:
    """Names of classes, one a line.

    Raises:
        UserError: if the file is missing or empty, or has a name twice.
    """
    if not Path(path).is_file():
        raise UserError(f"The file of class names '{path}' does not exist; correct the path.")
    names = tuple(line.strip() for line in read_text(path, 'file of class names').splitlines() if line.strip())
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice or not names:
        raise UserError(
            f"The file of class names '{path}' has {examples(twice)} more than once; give each class a name of its own."
            if twice
            else f"The file of class names '{path}' is empty; write one name a line."
        )
    return names


def classes_from(given: Sequence[str] | str) -> tuple[str, ...]:
    """The classes of a config: names, or a file of them.

    Raises:
        UserError: for a text that is no file, and as :func:`read_class_names`.
    """
    if isinstance(given, str) and not Path(given).is_file():
        raise UserError(
            f"The classes are the text '{given}', which is no file of names either; write classes = ('{given}',)."
        )
    return read_class_names(given) if isinstance(given, str) else tuple(given)


def with_class_names(metainfo: dict | None) -> dict | None:
    """A data set's ``metainfo`` with the names of its classes in place of a file of them."""
    if not metainfo or 'classes' not in metainfo:
        return metainfo
    return {**metainfo, 'classes': classes_from(metainfo['classes'])}


def names_of_list(ann_file: str | Path) -> tuple[str, ...] | None:
    """The names that lie beside a list; None if there are none."""
    path = names_file(ann_file)
    return read_class_names(path) if path.is_file() else None


def numbers_by_name(names: Sequence[str], classes: Sequence[str], source: str | Path) -> list[int]:
    """The place in ``classes`` of each of ``names``; without an exact match, upper and lower case are not told apart.

    Raises:
        UserError: naming those that are not among the classes.
    """
    places = {name.casefold(): place for place, name in enumerate(classes)}
    places |= {name: place for place, name in enumerate(classes)}
    unknown = [name for name in names if name not in places and name.casefold() not in places]
    if unknown:
        raise UserError(
            f"{examples(unknown)} of the {len(names)} classes of '{source}' are not among the {len(classes)} classes "
            f'of the model, such as {examples(list(classes)[:3])}; correct the names, or add them to the classes.'
        )
    return [places[name if name in places else name.casefold()] for name in names]
