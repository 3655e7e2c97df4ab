"""Settings at the top of a user's config, which replace constants in this package's configs before anything is computed
from them."""

import ast
import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.config import OwnFiles, is_shipped, option_values, override, own_files, read_config_file
from hiera_mm.replaced import replaced
from hiera_mm.setting_faults import (
    convert_setting,
    refuse_both_lengths,
    refuse_class_count,
    refuse_contradictions,
    refuse_misspelt,
    refuse_unread_options,
    refuse_without_effect,
)

from mmengine.config import Config

LENGTHS = ('epochs', 'max_iters')
SETTINGS = (
    *('classes', 'num_classes', 'image_size', 'crop_size', 'batch_size', 'learning_rate', *LENGTHS),
    *('data_root', 'label_file'),
    *(f'{part}_{kind}' for part in ('train', 'val', 'test') for kind in ('ann_file', 'data_prefix')),
    *(f'{part}_{kind}' for part in ('train', 'val') for kind in ('exclude_file', 'proposal_file')),
)
"""Constants that a user may set; a config has those that are defined in the package's files that it inherits from."""

Read = Callable[[str], Config]


def read_config(
    path: str,
    options: Sequence[str] = (),
    counted: Mapping[str, int] | None = None,
    read: Read = read_config_file,
) -> Config:
    """Read a config and apply its settings, except ``epochs`` in a run that counts iterations, which
    :func:`hiera_mm.engine.run_length.set_run_length` applies.

    Args:
        path: As for :func:`hiera_mm.config.read_config_file`.
        options: ``KEY=VALUE`` options, which override everything else.
        counted: Values of constants that follow from the data.
        read: Reads a file without applying settings.

    Raises:
        UserError: for a config that can't be read, and for a setting that has no effect or contradicts another.
    """
    config, files, given = _read_unchanged(path, options, read)
    if values := given | dict(counted or {}):
        before = _read_inherited(files.shipped, {}, read)
        values = {name: convert_setting(before.get(name), name, value) for name, value in values.items()}
        refuse_class_count(values)
        if 'classes' in values:
            values['num_classes'] = len(values['classes'])
        with _replaced_constants(values):
            config = read(path)
        own = {name: value for name, value in values.items() if name in SETTINGS and name not in files.used}
        # What the command line sets in its long form has the last word.
        overridden = {tuple(key.split('.')) for key in option_values(options)}
        refuse_contradictions(own, before, _read_inherited(files.shipped, values, read), config, overridden)
    override(config, options, path)
    return config


def given_settings(path: str, options: Sequence[str] = ()) -> dict[str, Any]:
    """The settings in a user's config and ``KEY=VALUE`` options.

    Raises:
        UserError: as :func:`read_config`.
    """
    return _read_unchanged(path, options, read_config_file)[2]


def _read_unchanged(path: str, options: Sequence[str], read: Read) -> tuple[Config, OwnFiles, dict[str, Any]]:
    """A config before its settings are applied, the files that it consists of, and the settings."""
    values = option_values(options)
    with _replaced_constants({}) as stated:
        config = read(path)
    files = own_files(path)
    known = {name for name in SETTINGS if name in stated}
    if 'max_iters' in known:
        known.add('epochs')
    if 'num_classes' not in known:
        # An autoencoder reads no labels.
        known.discard('classes')
    refuse_unread_options(values, config, known)
    if not files.shipped:
        if files.foreign:
            refuse_without_effect(files.assigned.intersection(SETTINGS) - files.used, known)
        return config, files, {}
    refuse_misspelt(files.assigned - files.used - stated, known)
    given = {name: config[name] for name in SETTINGS if name in files.assigned}
    length, interval = (_nested_value(config, values, f'train_cfg.{key}') for key in ('max_iters', 'val_interval'))
    if not values.keys().isdisjoint({*LENGTHS, 'train_cfg.max_epochs', 'train_cfg.max_iters'}):
        given = {name: value for name, value in given.items() if name not in LENGTHS}
    if 'max_iters' in known and ('train_cfg.max_iters' in values or length not in (None, config.max_iters)):
        given.setdefault('max_iters', length)
    given |= {name: value for name, value in values.items() if name in SETTINGS}
    refuse_both_lengths({*given} - files.used)
    refuse_without_effect({*given} - files.used, known)
    given = {name: value for name, value in given.items() if name in known}
    if 'val_interval' in stated and not given.keys().isdisjoint(LENGTHS) and interval != config.val_interval:
        # Checkpoints are saved as often as the user validates.
        given['val_interval'] = interval
    return config, files, given


def _nested_value(config: Config, values: Mapping[str, Any], key: str) -> Any:
    """The value that a key will have after the options are set."""
    owner, _, name = key.partition('.')
    return values.get(key, (config.get(owner) or {}).get(name))


def _read_inherited(shipped: Iterable[str], values: Mapping[str, Any], read: Read) -> Config:
    """Read only this package's files, with these values of constants."""
    with tempfile.TemporaryDirectory() as folder, _replaced_constants(values):
        path = Path(folder, 'inherited.py')
        path.write_text(f'_base_ = {sorted(shipped)!r}', encoding='utf-8')
        return read(str(path))


@contextlib.contextmanager
def _replaced_constants(values: Mapping[str, Any]) -> Iterator[set[str]]:
    """Make mmengine read this package's files with these values in place of the constants of the same names.

    Yields:
        The names of all constants in those files, filled while they are read.
    """
    plain, stated = Config._substitute_predefined_vars, set[str]()

    def substitute(filename: str, temporary: str) -> None:
        plain(filename, temporary)
        if not is_shipped(filename):
            return
        tree = ast.parse(Path(temporary).read_text(encoding='utf-8'))
        for line in tree.body:
            if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
                stated.add(line.targets[0].id)
                if line.targets[0].id in values:
                    line.value = ast.parse(repr(values[line.targets[0].id]), mode='eval').body
        if values:
            Path(temporary).write_text(ast.unparse(tree), encoding='utf-8')

    with replaced(Config, '_substitute_predefined_vars', substitute):
        yield stated
