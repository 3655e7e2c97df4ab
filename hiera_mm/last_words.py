"""Lets what a user's config computes from a setting follow who states the setting last: a config that inherits from it,
or the command line."""

import ast
import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hiera_mm.config import is_shipped, names_assigned, own_files, own_paths
from hiera_mm.replaced import replaced

from mmengine.config import Config

MOST_READINGS = 5
"""Settings may follow from others in other files; so many steps are taken."""


def last_words(
    path: str,
    names: Collection[str],
    options: Mapping[str, Any],
    read: Callable[[str], Config],
    in_form: Callable[[str, Any], Any],
) -> dict[str, Any]:
    """The settings that are stated several times, in the user's files and on the command line, with their last values.

    Args:
        path: The user's config.
        names: The settings that there are.
        options: Values on the command line.
        read: Reads the config as it stands.
        in_form: Converts the value of a setting, such as a file of class names to these, with which the files compute.

    Returns:
        Nothing for a config that inherits from none of this package's.
    """
    try:
        return _last_words(path, names, options, read, in_form) if own_files(path).shipped else {}
    except Exception:  # Faults of the config are reported where it is read plainly.
        return {}


def _last_words(
    path: str,
    names: Collection[str],
    options: Mapping[str, Any],
    read: Callable[[str], Config],
    in_form: Callable[[str, Any], Any],
) -> dict[str, Any]:
    own = own_paths(path)
    stated = [name for file in own for name in names_assigned(file)]
    repeated = {name for name in names if name in stated and stated.count(name) + (name in options) > 1}
    # What is computed from `_base_` is so from what the base says, not from what follows from the last word.
    settled = set().union(*map(_computed_from_base, own))
    words: dict[str, Any] = {}
    for _ in range(MOST_READINGS if repeated else 0):
        with spoken(path, words, options):
            config = read(path)
        found = {name: config[name] for name in repeated if name in config}
        found |= {name: value for name, value in options.items() if name in repeated}
        found |= {name: words[name] for name in settled if name in words}
        found = {name: in_form(name, value) for name, value in found.items()}
        if found == words:
            break
        words = found
    return words


@contextlib.contextmanager
def spoken(path: str, words: Mapping[str, Any], options: Mapping[str, Any]) -> Iterator[None]:
    """Make mmengine read the user's files with these last words: behind each statement of such a setting, its value in
    the file that has the last word stands in those that this file inherits from.

    Args:
        path: The user's config.
        words: See :func:`last_words`.
        options: Values on the command line, which has the last word before all files.
    """
    if not words:
        yield
        return
    substitute, to_dict = Config._substitute_predefined_vars, Config._file2dict
    reading: list[str] = []

    def with_words(filename: str, temporary: str) -> None:
        substitute(filename, temporary)
        if filename.endswith('.py') and not is_shipped(filename):
            later = {name for file in reading[:-1] for name in names_assigned(file)} | {*options}
            _state_anew(temporary, {name: words[name] for name in words if name in later}, words)

    def remembered(filename: str, *arguments: Any, **named: Any) -> tuple:
        reading.append(filename)
        try:
            return to_dict(filename, *arguments, **named)
        finally:
            reading.pop()

    with (
        replaced(Config, '_substitute_predefined_vars', with_words),
        replaced(Config, '_file2dict', remembered),
    ):
        yield


def _state_anew(path: str, values: Mapping[str, Any], words: Mapping[str, Any]) -> None:
    """Write the values behind each statement of their names into a file, and behind the last one of names that are
    computed from ``_base_`` in it."""
    tree = ast.parse(Path(path).read_text(encoding='utf-8'))
    _insert(tree.body, values)
    for name in _computed(tree) & ({*words} - {*values}):
        last = max(place for place, statement in enumerate(tree.body) if name in _stored(ast.walk(statement)))
        tree.body.insert(last + 1, _statement(name, words[name]))
    Path(path).write_text(ast.unparse(ast.fix_missing_locations(tree)), encoding='utf-8')


def _insert(body: list[ast.stmt], values: Mapping[str, Any]) -> None:
    for place in range(len(body) - 1, -1, -1):
        statement = body[place]
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            continue
        inner = [part for part in ast.iter_child_nodes(statement) if isinstance(part, ast.ExceptHandler)]
        blocks = [getattr(part, kind, None) for part in (statement, *inner) for kind in ('body', 'orelse', 'finalbody')]
        for block in blocks:
            if isinstance(block, list):
                _insert(block, values)
        if not any(blocks):
            names = sorted(_stored(ast.walk(statement)) & {*values})
            body[place + 1 : place + 1] = [_statement(name, values[name]) for name in names]


def _statement(name: str, value: Any) -> ast.stmt:
    return ast.parse(f'{name} = {value!r}').body[0]


def _stored(parts: Iterable[ast.AST]) -> set[str]:
    return {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}


def _computed_from_base(path: str) -> set[str]:
    return _computed(ast.parse(Path(path).read_text(encoding='utf-8'))) if path.endswith('.py') else set()


def _computed(tree: ast.Module) -> set[str]:
    """Names that are stated by means of ``_base_``."""
    return set().union(*(_stored(ast.walk(one)) for one in tree.body if '_base_' in _used(one)))


def _used(statement: ast.stmt) -> set[str]:
    return {part.id for part in ast.walk(statement) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
