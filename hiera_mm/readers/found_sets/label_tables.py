"""Tables that give each image or video its class, as spreadsheets and competitions have them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from hiera_mm.errors import UserError, examples
from hiera_mm.readers.found_sets.folder import names_part
from hiera_mm.readers.text import read_text

FILES = {'file', 'filename', 'filenames', 'filepath', 'filepaths', 'path', 'id', 'name'}
FILES |= {f'{kind}{word}' for kind in ('image', 'img', 'video', 'clip') for word in ('', 's', *FILES)}
"""Headers of the column of files, without spaces and such."""

CLASSES = {'label', 'labels', 'class', 'classes', 'category', 'categories', 'target', 'targets'}
CLASSES |= {f'{name}{word}' for name in ('label', 'class', 'category', 'target') for word in ('name', 'id', 'idx')}
CLASSES |= {'classindex', 'diagnosis', 'species', 'breed'}

PARTS = {'split', 'subset', 'part', 'partition', 'set', 'dataset', 'phase', 'fold'}

BOXES = {'xmin', 'ymin', 'xmax', 'x1', 'y1', 'bbox', 'left', 'boundingbox'}
"""Headers of tables of objects."""

INDEX = {'', 'unnamed0', 'index'}
"""Headers that pandas gives to the numbers of rows."""

ROWS_TO_LOOK_AT = 50


class Entry(NamedTuple):
    """A row: the file as it is named, the number or name of its class, and its part if the table has one."""

    file: str
    label: int | str
    part: str | None


def read_label_table(path: Path, is_input: Callable[[str], bool]) -> list[Entry] | None:
    """The rows of a table of classes; None if the file is none.

    Args:
        path: The file; separated by commas, semicolons or tabs.
        is_input: Whether a text names an image or a video of the set.

    Raises:
        UserError: for a row without a class or with several, classes that are measurements, and a file with two
            classes.
    """
    header, *rows = _cells(path) or [[]]
    if len(header) == 2 and is_input(header[0]):
        header, rows = ['file', 'label'], [header, *rows]
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    if len(columns) < 2 or len(columns) < len(header) or not rows or BOXES & set(map(_plain, header)):
        return None
    places = [name for name in header if _plain(name) not in CLASSES | INDEX and _are_files(columns[name], is_input)]
    files = next((name for name in places if _plain(name) in FILES), places[0] if places else None)
    if files is None or not (_plain(files) in FILES or CLASSES & set(map(_plain, header))):
        return None
    if differing := [name for name in places if _stems(columns[name]) != _stems(columns[files])]:
        raise UserError(
            f"The columns {examples([files, *differing])} of the table '{path}' name different files of the set in the "
            'same row; take all but one out.'
        )
    parts = next((name for name in header if _plain(name) in PARTS and any(map(names_part, columns[name]))), None)
    others = {n: column for n, column in columns.items() if n not in (files, parts) and _plain(n) not in INDEX}
    labels = _labels(others, path) if others else None
    if labels is None:
        return None
    named = [_part(text, path) for text in columns[parts]] if parts else [None] * len(rows)
    found = [Entry(*row) for row in zip(columns[files], labels, named, strict=True)]
    return _without_repeats(found, path)


def _cells(path: Path) -> list[list[str]]:
    lines = read_text(path, 'table').splitlines()
    first = lines[0] if lines else ''
    separator = max(',;\t', key=first.count)
    read = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    filled = [row for row in read if any(row)]
    # Spreadsheets leave out empty cells at the end of a row.
    return [(row + [''] * len(filled[0]))[: len(filled[0])] for row in filled]


def _are_files(cells: Sequence[str], is_input: Callable[[str], bool]) -> bool:
    """Whether most of the cells name files; what is absent is told later."""
    first = cells[:ROWS_TO_LOOK_AT]
    return 2 * sum(map(is_input, first)) > len(first)


def _stems(cells: Sequence[str]) -> list[str]:
    return [PurePosixPath(cell.replace('\\', '/')).stem for cell in cells]


def _plain(header: str) -> str:
    return ''.join(c for c in header.lower() if c.isalnum())


def _labels(columns: Mapping[str, Sequence[str]], path: Path) -> list[int | str] | None:
    """The class of each row, from columns that are neither files nor parts."""
    named = [name for name in columns if _plain(name) in CLASSES]
    if not named and len(columns) > 1:
        return _from_columns_of_classes(columns, path)
    if len(named) > 1:
        # A column of numbers says the same as one of names if each number has one name, and each name one number.
        texts = [name for name in named if not all(cell.isdigit() for cell in columns[name])]
        pairs = set(zip(*(columns[name] for name in named), strict=True))
        if len(texts) == 1 and all(len(set(columns[name])) == len(pairs) for name in named):
            named = texts
    if len(named) > 1:
        raise UserError(f"The table '{path}' has several columns of classes, {examples(named)}; take all but one out.")
    (name,) = named or columns
    without = [number for number, cell in enumerate(columns[name], start=2) if not cell]
    if without:
        raise UserError(f"{len(without)} rows of '{path}' have no class, such as line {without[0]}; fill them in.")
    return _numbers(columns[name], name, path) or list(columns[name])


def _numbers(cells: Sequence[str], name: str, path: Path) -> list[int | str] | None:
    """Cells as whole numbers; None if some are names."""
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        return None
    broken = [cell for cell, value in zip(cells, values, strict=True) if not (value >= 0 and value.is_integer())]
    if broken:
        raise UserError(
            f"The column '{name}' of '{path}' holds {examples(broken)}, which are measurements and no classes; there "
            'have to be names, or numbers from 0.'
        )
    return [int(value) for value in values]


def _from_columns_of_classes(columns: Mapping[str, Sequence[str]], path: Path) -> list[int | str] | None:
    """A column for each class, with 1 where it applies."""
    if not all(cell in ('0', '1', '0.0', '1.0') for column in columns.values() for cell in column):
        return None
    cells = zip(*columns.values(), strict=True)
    rows = [[name for name, cell in zip(columns, row, strict=True) if float(cell)] for row in cells]
    wrong = [number for number, row in enumerate(rows, start=2) if len(row) != 1]
    if wrong:
        raise UserError(
            f"{len(wrong)} rows of '{path}' have no class or several, such as line {wrong[0]}; each image has exactly "
            'one class here.'
        )
    return [row[0] for row in rows]


def _part(text: str, path: Path) -> str:
    named = names_part(text)
    if len(named) != 1:
        raise UserError(f"The table '{path}' has the part '{text}'; there have to be train, val and test.")
    return named[0]


def _without_repeats(rows: Sequence[Entry], path: Path) -> list[Entry]:
    labels: dict[str, int | str] = {}
    for row in rows:
        if labels.setdefault(row.file, row.label) != row.label:
            raise UserError(
                f"The table '{path}' gives '{row.file}' two classes, {labels[row.file]} and {row.label}; keep one."
            )
    return list({row.file: row for row in reversed(rows)}.values())[::-1]
