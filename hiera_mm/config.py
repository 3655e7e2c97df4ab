"""Config files, read with faults as sentences."""

import argparse
import ast
import contextlib
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm import CONFIGS
from hiera_mm.errors import UserError, first_few, require_extra
from hiera_mm.program import command_line

import mmcv.ops
import mmengine.registry
import yaml
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.hub import get_config
from mmengine.registry import Registry

RUN_AS_PYTHON = {'CameraMotionCompensation'}
"""Registered types that run a text of the config as Python."""


def read_config_file(path: str) -> Config:
    """A config by its path, by its name alone if it is one of the suite's, or by its name in an installed package, as
    in ``mmdet::faster_rcnn/...py``.

    Raises:
        UserError: if the file or one it inherits from is missing or no valid config.
    """
    found = path if '::' in path else locate_config(path)
    try:
        if found.endswith(('.yml', '.yaml')):
            # mmengine's reader makes whatever objects such a file names.
            yaml.safe_load(Path(found).read_text(encoding='utf-8'))
        return get_config(found) if '::' in found else Config.fromfile(found)
    except UserError:
        raise
    except Exception as error:  # A config is a program, which can raise anything.
        if 'mmseg' in str(error):
            require_extra('mmseg', 'seg', 'onedl-mmsegmentation')
        raise UserError(f"The config '{path}' can't be read: {_reason(error)}.") from error


def config_from_text(text: str, source: str) -> Config:
    """A config as mmengine prints it (``Config.pretty_text``, which checkpoints hold), read as data: nothing in it is
    executed.

    Args:
        text: Lines ``name = value`` of literals and calls of ``dict``.
        source: The file, for messages.

    Raises:
        UserError: for a text with anything else in it.
    """
    try:
        lines = [_Literals().visit(line) for line in ast.parse(text).body]
        return Config({line.targets[0].id: ast.literal_eval(line.value) for line in lines})
    except (SyntaxError, ValueError, AttributeError, TypeError, RecursionError, MemoryError) as error:
        raise UserError(
            f"The config inside '{source}' is not plain data ({error}); name the one it was trained with: --config "
            'CONFIG.'
        ) from error


def must_be_registered(config: Config, source: str) -> None:
    """Refuse a config whose model or test set names a type that no registry holds.

    mmengine's registries would import whatever a type with dots names, such as ``os.system``, and call it; mmcv would
    run the ``type`` of its ``nms`` as Python.

    Args:
        config: Of a trained model.
        source: Where it is from, for messages.

    Raises:
        UserError: naming the types.
    """
    registries = list(_all_registries())
    # Two kinds of a detector's types are functions and layers of mmcv that it finds by name.
    names = {name for registry in registries for name in registry.module_dict} | set(mmcv.ops.__all__)
    scopes = {registry.scope for registry in registries} | {''}
    found = list(dicts_in([config.get('model'), config.get('test_dataloader')]))
    unknown = {str(part['type']) for part in found if part.get('type') is not None} - {
        f'{scope}.{name}'.lstrip('.') for scope in scopes for name in names - RUN_AS_PYTHON
    }
    asked = {str(part['_scope_']) for part in found if '_scope_' in part} | {str(config.get('default_scope') or '')}
    if unknown or not asked <= scopes:
        raise UserError(
            f"The config inside '{source}' names types that no installed package registers, such as "
            f'{first_few(sorted(unknown | asked - scopes))}, and nothing that it names is imported; if they are of '
            'your own, name your config: --config CONFIG.'
        )


def _all_registries() -> Iterator[Registry]:
    roots = [root for root in vars(mmengine.registry).values() if isinstance(root, Registry)]
    children = [child for root in roots for child in root.children.values()]
    for registry in [*roots, *children]:
        # They fill when they are first used; some of mmaction2's name modules that it doesn't have.
        with contextlib.suppress(ImportError):
            registry.import_from_location()
        yield registry


class _Literals(ast.NodeTransformer):
    """``dict(a=1)`` to ``{'a': 1}``, and the names of infinity and NaN to these numbers."""

    def visit_Call(self, call: ast.Call) -> ast.AST:
        self.generic_visit(call)
        names = [keyword.arg for keyword in call.keywords]
        if not isinstance(call.func, ast.Name) or call.func.id != 'dict' or None in names:
            return call
        if call.args:
            # As mmengine prints keys that are no names: dict({'backbone.norm': ...}).
            alone = len(call.args) == 1 and isinstance(call.args[0], ast.Dict) and not names
            return call.args[0] if alone else call
        return ast.Dict([ast.Constant(name) for name in names], [keyword.value for keyword in call.keywords])

    def visit_Name(self, name: ast.Name) -> ast.AST:
        in_context = isinstance(name.ctx, ast.Load) and name.id in ('inf', 'nan')
        return ast.Constant(float(name.id)) if in_context else name


def _reason(error: Exception) -> str:
    """What mmengine says, without its advice where that would lose the heads of a cascade."""
    if isinstance(error, TypeError) and "<class 'list'>" in str(error) and '_delete_' in str(error):
        found = str(error).partition('. You may')[0]
        return (
            f'a dict stands where the inherited config has a list, as it does for the three box heads of a cascade '
            f'({found}). To change the classes, set classes = (...) at the top of the config, which reaches every '
            f'head; to change one entry of the list, write its number as the key, such as bbox_head={{0: dict(...)}}; '
            f'_delete_=True would drop the whole list'
        )
    return f'{type(error).__name__}: {error}'.rstrip('.')


def option_values(options: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` options by key, as mmengine's ``DictAction`` reads them.

    Raises:
        UserError: for an option without ``=``, and for a value that is a dict or has a bracket too many.
    """
    if wrong := [option for option in options if '=' not in option]:
        raise UserError(f"--cfg-options takes KEY=VALUE, but '{wrong[0]}' has no '='.")
    parser = argparse.ArgumentParser(prefix_chars='\0')
    parser.add_argument('options', nargs='*', action=DictAction)
    try:
        return dict(parser.parse_args(list(options)).options) if options else {}
    except (RecursionError, AssertionError) as error:
        raise UserError(
            f'--cfg-options takes numbers, texts, lists and tuples as values, which {", ".join(options)} are not all; '
            'set a dict key by key, such as model.backbone.init_cfg.type=Pretrained.'
        ) from error


def override(config: Config, options: Sequence[str], source: str) -> None:
    """Set ``KEY=VALUE`` options.

    Raises:
        UserError: as :func:`option_values`, and for a key that the config can't take.
    """
    try:
        config.merge_from_dict(option_values(options))
    except (KeyError, TypeError, IndexError) as error:
        reason = f'{type(error).__name__}: {error}'.rstrip('.')
        raise UserError(f"--cfg-options don't fit the config '{source}': {reason}.") from error


class OwnFiles(NamedTuple):
    """A user's config, and those of its bases that are the user's.

    Attributes:
        assigned: Names that they assign at their top level.
        used: Names that they compute with themselves.
        shipped: The suite's files that they inherit from; a config of the suite is one itself.
        foreign: Files of other packages that they inherit from.
    """

    assigned: set[str]
    used: set[str]
    shipped: set[str]
    foreign: set[str]


def own_files(path: str) -> OwnFiles:
    """What a user's own files assign and use, and where the suite's begin."""
    path = path if '::' in path else locate_config(path)
    if path.startswith('hiera_mm::') or is_shipped(path):
        return OwnFiles(set(), set(), {path}, set())
    if '::' in path:
        return OwnFiles(set(), set(), set(), {path})
    found = OwnFiles(set(), set(), set(), set())
    for line in ast.parse(Path(path).read_text(encoding='utf-8')).body if path.endswith('.py') else []:
        for part in (part for part in ast.walk(line) if isinstance(part, ast.Name)):
            if isinstance(part.ctx, ast.Load):
                found.used.add(part.id)
            elif isinstance(line, ast.Assign | ast.AnnAssign):
                found.assigned.add(part.id)
    for base in Config._get_base_files(path):
        inner = own_files(base if '::' in base else Config._get_cfg_path(base, path)[0])
        for mine, theirs in zip(found, inner, strict=True):
            mine |= theirs
    return found


def is_shipped(path: str) -> bool:
    """Whether a file is one of the suite's."""
    return Path(path).resolve().is_relative_to(Path(CONFIGS).resolve())


def shipped_configs() -> dict[str, Path]:
    """The suite's own configs by name."""
    return {path.stem: path for path in sorted(Path(CONFIGS).glob('*.py'))}


def described_configs() -> list[dict]:
    """What configs/metafile.yml says of each of the suite's own configs."""
    return yaml.safe_load(Path(CONFIGS, 'metafile.yml').read_text(encoding='utf-8'))['Models']


def evaluators_of(config: Config, key: str) -> list[ConfigDict]:
    """The metrics of ``val_evaluator`` or ``test_evaluator``, which may be absent, one dict, or a list."""
    given = config.get(key) or []
    return list(given) if isinstance(given, list | tuple) else [given]


def dicts_in(part: object) -> Iterator[ConfigDict]:
    """All dicts in a part of a config, the part itself first, also in lists."""
    if isinstance(part, dict):
        yield part
    for entry in part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ():
        yield from dicts_in(entry)


def locate_config(path: str) -> str:
    """The file of a config that is named by its path or, if it is one of the suite's, by its name alone.

    Raises:
        UserError: if there is neither.
    """
    if Path(path).is_file():
        return path
    shipped, name = shipped_configs(), Path(path).name.removesuffix('.py')
    if path in (name, f'{name}.py') and name in shipped:
        return str(shipped[name])
    close = get_close_matches(name, shipped, n=1)
    hint = f'the suite has one called {close[0]}; ' if close else ''
    raise UserError(f"The config '{path}' does not exist; {hint}{command_line('configs')} lists all.")
