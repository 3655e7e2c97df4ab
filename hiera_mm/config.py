"""Reads config files, and reports faults in sentences."""

import argparse
import ast
import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm import CONFIGS
from hiera_mm.errors import UserError, require_extra
from hiera_mm.program import command_line
from hiera_mm.replaced import replaced
from hiera_mm.shipped import shipped_configs

import mmengine.config.utils
import yaml
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.hub import get_config
from mmengine.registry import DefaultScope

READ_PLAINLY = ContextVar('READ_PLAINLY', default=False)
"""Whether mmengine reads a config as it stands, without the effect of the settings at its top."""

_load_once = functools.cache(mmengine.config.utils.load)


def read_config_file(path: str) -> Config:
    """Read a config as it stands: by its path, by its name if it is one of this package's, or by its name in an
    installed package, as in ``mmdet::faster_rcnn/...py``.

    Raises:
        UserError: if the file or one that it inherits from is missing or not a valid config.
    """
    found = path if '::' in path else locate_config(path)
    try:
        if found.endswith(('.yml', '.yaml')):
            # mmengine's reader would create any object that such a file names.
            yaml.safe_load(Path(found).read_text(encoding='utf-8'))
        # To find one base such as `mmdet::...`, mmengine reads the 300 indices of that package.
        with replaced(mmengine.config.utils, 'load', _load_once), as_it_stands():
            return get_config(found) if '::' in found else Config.fromfile(found)
    except UserError:
        raise
    except Exception as error:  # A config is a program, which can raise anything.
        if 'mmseg' in str(error):
            require_extra('mmseg', 'seg', 'onedl-mmsegmentation')
        raise UserError(f"The config '{path}' can't be read: {_reason(error)}.") from error


@contextlib.contextmanager
def as_it_stands() -> Iterator[None]:
    before = READ_PLAINLY.set(True)
    try:
        yield
    finally:
        READ_PLAINLY.reset(before)


@contextlib.contextmanager
def in_scope(config: Config) -> Iterator[None]:
    """A context in which types without a prefix are looked up as the config's runner would."""
    with in_scope_named(config.get('default_scope', 'mmengine')):
        yield


@contextlib.contextmanager
def in_scope_named(name: str) -> Iterator[None]:
    """A context in which types without a prefix are looked up in this scope first; one thread at a time, as mmengine
    keeps the scope for the whole process."""
    with _SCOPE, DefaultScope.overwrite_default_scope(name):
        yield


_SCOPE = threading.RLock()


def apply_when_read(read_settled: Callable[[str], Config]) -> None:
    """Give settings their effect in the configs that other programs read, if these inherit from this package's.

    Args:
        read_settled: Reads a file with its settings.
    """
    plain = Config.__init__

    def init(
        self: Config, cfg_dict: dict | None = None, cfg_text: str | None = None, filename: Any = None, **more: Any
    ) -> None:
        plain(self, cfg_dict, cfg_text, filename, **more)
        # mmengine gives the text of all inherited files, each after its path, where it has read a file.
        if filename and cfg_text and CONFIGS in cfg_text and not READ_PLAINLY.get():
            vars(self).update(vars(read_settled(str(filename))))

    Config.__init__ = init


def _reason(error: Exception) -> str:
    """mmengine's message, but without its advice where following it would lose a cascade's heads."""
    if isinstance(error, TypeError) and "<class 'list'>" in str(error) and '_delete_' in str(error):
        found = str(error).partition('. You may')[0]
        return (
            'the config has a dict where the inherited config has a list, such as the three box heads of a cascade '
            f'({found}). To change the classes, set classes = (...) at the top of the config, which reaches every '
            'head; to change one entry of the list, use its number as the key, such as bbox_head={0: dict(...)}; '
            '_delete_=True would drop the whole list'
        )
    return f'{type(error).__name__}: {error}'.rstrip('.')


def option_values(options: Sequence[str]) -> dict[str, Any]:
    """Parse ``KEY=VALUE`` options with mmengine's ``DictAction``.

    Raises:
        UserError: for an option without ``=``, and for a value that is a dict or has unbalanced brackets.
    """
    if wrong := [option for option in options if '=' not in option]:
        raise UserError(f"--cfg-options takes KEY=VALUE, but '{wrong[0]}' has no '='.")
    parser = argparse.ArgumentParser(prefix_chars='\0')
    parser.add_argument('options', nargs='*', action=DictAction)
    try:
        return dict(parser.parse_args(list(options)).options) if options else {}
    except (RecursionError, AssertionError) as error:
        raise UserError(
            f'--cfg-options takes numbers, strings, lists and tuples as values, unlike some in {", ".join(options)}; '
            'set a dict key by key, such as model.backbone.init_cfg.type=Pretrained.'
        ) from error


def override(config: Config, options: Sequence[str], source: str) -> None:
    """Set ``KEY=VALUE`` options in a config.

    Raises:
        UserError: as :func:`option_values`, and for a key that doesn't fit the config.
    """
    try:
        config.merge_from_dict(option_values(options))
    except (KeyError, TypeError, IndexError) as error:
        reason = f'{type(error).__name__}: {error}'.rstrip('.')
        raise UserError(f"--cfg-options don't fit the config '{source}': {reason}.") from error


class OwnFiles(NamedTuple):
    """What a user's config and the user's own bases of it contain.

    Attributes:
        assigned: Names that they assign at the top level.
        used: Names that they use in expressions.
        shipped: This package's files that they inherit from, or the config itself if it is one of these.
        foreign: Other packages' files that they inherit from.
    """

    assigned: set[str]
    used: set[str]
    shipped: set[str]
    foreign: set[str]


def own_files(path: str) -> OwnFiles:
    """Analyse a user's own config files: the names that they assign and use, and the other files they inherit from."""
    path = path if '::' in path else locate_config(path)
    if path.startswith('hiera_mm::') or is_shipped(path):
        return OwnFiles(set(), set(), {path if '::' in path else str(Path(path).resolve())}, set())
    if '::' in path:
        return OwnFiles(set(), set(), set(), {path})
    found = OwnFiles(*_names_of(path), set(), set())
    for base in Config._get_base_files(path):
        inner = own_files(base if '::' in base else Config._get_cfg_path(base, path)[0])
        for mine, theirs in zip(found, inner, strict=True):
            mine |= theirs
    return found


def own_paths(path: str) -> list[str]:
    """A user's config and the user's own bases of it; none for another package's or this one's."""
    if '::' in path or is_shipped(path := locate_config(path)):
        return []
    bases = [base for base in Config._get_base_files(path) if '::' not in base]
    return [path, *(file for base in bases for file in own_paths(Config._get_cfg_path(base, path)[0]))]


def names_assigned(path: str) -> set[str]:
    """The names that a config file assigns at its top level."""
    return _names_of(path)[0]


def _names_of(path: str) -> tuple[set[str], set[str]]:
    text = Path(path).read_text(encoding='utf-8')
    return _names_in(ast.parse(text)) if path.endswith('.py') else ({*(yaml.safe_load(text) or {})}, set())


def _names_in(module: ast.Module) -> tuple[set[str], set[str]]:
    """The names that a module assigns at its top level, also in branches and imports, and those that it uses."""
    assigned, used = set[str](), set[str]()
    inside = [part for line in module.body for part in _at_top_level(line)]
    for part in inside:
        if isinstance(part, ast.Import | ast.ImportFrom):
            assigned |= {(alias.asname or alias.name).partition('.')[0] for alias in part.names}
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            assigned.add(part.id)
    for part in ast.walk(module):
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
            used.add(part.id)
    return assigned, used


def _at_top_level(part: ast.AST) -> Iterator[ast.AST]:
    """A statement and its parts, except those with names of their own: functions, classes, comprehensions."""
    yield part
    if not isinstance(part, ast.FunctionDef | ast.ClassDef | ast.Lambda | ast.comprehension):
        for inner in ast.iter_child_nodes(part):
            yield from _at_top_level(inner)


def is_shipped(path: str) -> bool:
    """Whether a file is one of this package's configs."""
    return Path(path).resolve().is_relative_to(Path(CONFIGS).resolve())


def evaluators_of(config: Config, key: str) -> list[ConfigDict]:
    """The metrics in ``val_evaluator`` or ``test_evaluator``, which may be missing, a dict, or a list."""
    given = config.get(key) or []
    return list(given) if isinstance(given, list | tuple) else [given]


def dicts_in(part: object) -> Iterator[ConfigDict]:
    """All dicts in a part of a config, including those in lists; the part itself comes first."""
    if isinstance(part, dict):
        yield part
    for entry in part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ():
        yield from dicts_in(entry)


def locate_config(path: str) -> str:
    """The file of a config, given its path or, if it is one of this package's, its name.

    Raises:
        UserError: if there is no such config.
    """
    if Path(path).is_file():
        return path
    shipped, name = shipped_configs(), Path(path).name.removesuffix('.py')
    if path in (name, f'{name}.py') and name in shipped:
        return str(shipped[name])
    close = get_close_matches(name, shipped, n=1)
    hint = f'did you mean {close[0]}? ' if close else ''
    raise UserError(f"The config '{path}' does not exist; {hint}{command_line('configs')} lists all.")
