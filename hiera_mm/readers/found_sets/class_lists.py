"""Reads the lists and tables that give images or videos a class each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hiera_mm.errors import UserError, examples
from hiera_mm.readers.class_names import class_names_file, class_names_of_list, numbers_by_name, read_class_names
from hiera_mm.readers.found_sets.folder import NAME_FILES, USES, Folder, part_named_in
from hiera_mm.readers.found_sets.label_tables import Entry, read_label_table
from hiera_mm.readers.labelled_lists import LINE, read_labelled_list

Entries = list[Entry]
"""The rows of a list."""

Places = Mapping[str, Path | None]
"""Inputs by the ends of their paths; None where several end so."""


def lists_in(folder: Folder, inputs: Sequence[Path], tables: bool) -> dict[Path, Entries]:
    """The files that give the inputs in a folder a class each, and what they say: lists of lines ``path label``, or
    else, if ``tables`` are looked for, tables.

    Raises:
        UserError: for a list or table that can't be read.
    """
    names = {path.name for path in inputs}
    lists = [path for path in folder.with_ending('.txt', '.csv') if path.name.lower() not in NAME_FILES]
    numbered = {
        path: [Entry(*entry, None) for entry in read_labelled_list(path, 'image or video', 'write one')]
        for path in lists
        if _first_name(path) in names
    }
    if numbered or not tables:
        return numbered
    places = _places(folder, inputs)
    found = {
        path: read_label_table(path, lambda name: _end(name) in places) for path in folder.with_ending('.csv', '.tsv')
    }
    return {path: rows for path, rows in found.items() if rows}


def read_lists(
    folder: Folder, lists: Mapping[Path, Entries], inputs: Sequence[Path]
) -> tuple[dict[str | None, list[tuple[Path, str]]], list[str]]:
    """The inputs of each part with the names of their classes, and all names in order.

    Raises:
        UserError: for two lists of a part, a part that isn't told, files that aren't there, and classes without a name.
    """
    places = _places(folder, inputs)
    labelled: dict[str | None, list[tuple[Path, int | str]]] = {}
    known: dict[str | None, Sequence[str]] = {}
    for path, entries in lists.items():
        beside = class_names_of_list(path) or _names_beside(folder) or ()
        for part, rows in _by_part(path, entries, folder).items():
            if part in labelled:
                use = USES.get(part or '', 'same')
                raise UserError(f"'{folder.root}' has two lists of the {use} part; remove one.")
            labelled[part], known[part] = _placed(path, rows, folder, places, beside), beside
            folder.use(path, part or 'all')
        if class_names_file(path) in folder:
            folder.use(class_names_file(path), 'all')
    if None in labelled and len(labelled) > 1:
        raise UserError(
            f"Of the lists in '{folder.root}', some have no part in their names; put 'train', 'val' or 'test' "
            'into each.'
        )
    found = {part: [(path, _name(label, known[part])) for path, label in rows] for part, rows in labelled.items()}
    used = sorted({name for rows in found.values() for _, name in rows})
    named = next((names for names in (known.get('train', ()), *known.values()) if names), None)
    if named:
        numbers_by_name(used, named, folder.root)
        return found, list(named)
    numbers = [label for rows in labelled.values() for _, label in rows if isinstance(label, int)]
    if not numbers:
        return found, used
    if len(numbers) < sum(map(len, labelled.values())):
        raise UserError(
            f"The lists in '{folder.root}' call some classes by numbers, such as {numbers[0]}, and others by names; "
            'use one of them.'
        )
    return found, [_name(number, ()) for number in range(max(numbers) + 1)]


def _name(label: int | str, names: Sequence[str]) -> str:
    if isinstance(label, str):
        return label
    return names[label] if names else f'class {label}'


def _by_part(path: Path, entries: Entries, folder: Folder) -> dict[str | None, Entries]:
    """The rows of a list by the part that they name, or that the list's own name tells."""
    whole = part_named_in(path, folder.root)
    parts: dict[str | None, Entries] = {}
    for entry in entries:
        parts.setdefault(entry.part or whole, []).append(entry)
    return parts


def _placed(
    path: Path, entries: Entries, folder: Folder, places: Places, names: Sequence[str]
) -> list[tuple[Path, int | str]]:
    """The files that a list names, with their labels."""
    found = [(_place(entry.file, path.parent, places), entry.label) for entry in entries]
    absent = [entry.file for entry, (place, _) in zip(entries, found, strict=True) if place is None]
    if absent:
        raise UserError(
            f"{examples(absent)} of the files that '{path}' lists are not in '{folder.root}', or several have that "
            'name; put them there, write their paths, or take them out of the list.'
        )
    beyond = sorted({label for _, label in found if isinstance(label, int) and names and label >= len(names)})
    if beyond:
        raise UserError(
            f"The list '{path}' has the labels {examples(beyond)}, but {len(names)} classes are named, from 0 to "
            f'{len(names) - 1}; correct the list or the names.'
        )
    return [(place, label) for place, label in found if place]


def _first_name(path: Path) -> str | None:
    """The name of the file in a list's first line; None if that is no path with a number."""
    with path.open('rb') as file:
        found = LINE.fullmatch(file.readline(1000).decode('utf-8', 'replace').strip())
    return Path(found['name'].replace('\\', '/')).name if found else None


def _names_beside(folder: Folder) -> tuple[str, ...] | None:
    """The names in a file of classes for the whole set."""
    for path in folder.files:
        if path.name.lower() in NAME_FILES:
            folder.use(path, 'all')
            return read_class_names(path)
    return None


def _places(folder: Folder, inputs: Sequence[Path]) -> Places:
    """Each input by its last path components, however many, with and without its ending."""
    found: dict[str, Path | None] = {}
    for path in inputs:
        inner = path.relative_to(folder.root).parts
        for first in range(len(inner)):
            end = '/'.join(inner[first:])
            for name in {end, end.removesuffix(path.suffix)}:
                found[name] = None if name in found else path
    return found


def _place(name: str, beside: Path, places: Places) -> Path | None:
    """The file that a list names: relative to the list, or the only one whose path ends so."""
    name = _end(name)
    if (beside / name).is_file():
        return beside / name
    return places.get(name)


def _end(name: str) -> str:
    return name.replace('\\', '/').lstrip('/')
