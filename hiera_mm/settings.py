"""Settings at the top of a user's config, which replace constants in this package's configs before anything is computed
from them."""

import ast
import contextlib
import copy
import functools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.config import OwnFiles, is_shipped, option_values, override, own_files, read_config_file
from hiera_mm.last_words import last_words, spoken
from hiera_mm.replaced import replaced
from hiera_mm.setting_faults import (
    refuse_both_lengths,
    refuse_class_count,
    refuse_contradictions,
    refuse_half_of_the_classes,
    refuse_ignored_number_of_shipped_classes,
    refuse_mean_of_other_channels,
    refuse_misspelt,
    refuse_unread_options,
    refuse_without_effect,
    values_without_effect,
)
from hiera_mm.setting_values import converted

from mmengine.config import Config

LENGTHS = dict(max_iters='max_iters', max_epochs='epochs')
"""Settings of the length, by their keys in ``train_cfg``."""

SETTINGS = (
    *(
        'classes',
        'thing_classes',
        'stuff_classes',
        'num_classes',
        'image_size',
        'crop_size',
        'batch_size',
        'num_workers',
        'learning_rate',
        *LENGTHS.values(),
    ),
    *('data_root', 'label_file', 'weights', 'teacher_weights', 'timestamp_start', 'spacing', 'intensity_range'),
    'seg_map_suffix',
    *('channels', 'channel_files', 'mean', 'std', 'ignore_index', 'fold'),
    *(
        f'{part}_{kind}'
        for part in ('train', 'val', 'test')
        for kind in ('ann_file', 'data_prefix', 'exclude_file', 'proposal_file')
    ),
)
"""Constants that a user may set; a config has those that are defined in the package's files that it inherits from."""

Read = Callable[[str], Config]


class Settled(NamedTuple):
    """What is remembered of a config that was read with its settings.

    Attributes:
        given: The settings in the file and on the command line.
        values: All settings of the config.
        length: ``train_cfg.max_iters``.
        counted: Whether the length was set by the number of training images.
    """

    given: dict[str, Any]
    values: dict[str, Any]
    length: int | None
    counted: bool = False


def read_config(
    path: str,
    options: Sequence[str] = (),
    counted: Mapping[str, Any] | None = None,
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
    chosen = option_values(options)

    def in_form(name: str, value: Any) -> Any:
        return converted(name, value, _read_inherited(own_files(path).shipped, {}, read).get(name))

    words = last_words(path, SETTINGS, chosen, read, in_form)

    def read_with_words(path: str) -> Config:
        with spoken(path, words, chosen):
            return read(path)

    constants = Constants()
    config, files, given = _read_unchanged(path, options, read_with_words, constants)
    if values := given | dict(counted or {}):
        before = _read_inherited(files.shipped, {}, read)
        values = {name: converted(name, value, before.get(name)) for name, value in values.items()}
        refuse_class_count(values)
        refuse_half_of_the_classes(values)
        refuse_mean_of_other_channels(values)
        refuse_ignored_number_of_shipped_classes(values, before)
        if values.get('classes') is not None:
            values['num_classes'] = len(values['classes'])
        if 'channels' in values:
            values['in_channels'] = values['channels']
        with constants.replaced(values, files.assigned):
            config = read_with_words(path)
        config.update({name: value for name, value in values.items() if name not in files.assigned})
        at_the_top = files.assigned.union(chosen) - files.used
        own = {name: value for name, value in values.items() if name in SETTINGS and name in at_the_top}
        # What the command line sets in its long form has the last word.
        overridden = {tuple(key.split('.')) for key in chosen}
        after = _read_inherited(files.shipped, values, read)
        refuse_without_effect(values_without_effect(own, before, after, config), {*SETTINGS} & {*before})
        refuse_contradictions(own, before, after, config, overridden)
    override(config, options, path)
    _without_workers(config)
    remember(config, given, counted is not None)
    return config


def _without_workers(config: Config) -> None:
    """Leave out what torch refuses for data that is loaded without processes of its own."""
    for part in ('train', 'val', 'test'):
        loader = config.get(f'{part}_dataloader')
        if isinstance(loader, dict) and loader.get('num_workers') == 0:
            loader.pop('prefetch_factor', None)
            if loader.get('persistent_workers'):
                loader['persistent_workers'] = False


def remember(config: Config, given: Mapping[str, Any], counted: bool = False) -> None:
    """Remember the settings of a config, see :class:`Settled`."""
    values = {name: config[name] for name in SETTINGS if name in config}
    length = (config.get('train_cfg') or {}).get('max_iters')
    # Config takes attributes for keys of the config.
    object.__setattr__(config, '_settled', Settled(dict(given), copy.deepcopy(values), length, counted))


def settled(config: Config) -> Settled | None:
    """What is remembered of a config; None if it was not read with its settings."""
    return vars(config).get('_settled')


def given_settings(path: str, options: Sequence[str] = ()) -> dict[str, Any]:
    """The settings in a user's config and ``KEY=VALUE`` options.

    Raises:
        UserError: as :func:`read_config`.
    """
    return _read_unchanged(path, options, read_config_file, Constants())[2]


def _read_unchanged(
    path: str, options: Sequence[str], read: Read, constants: 'Constants'
) -> tuple[Config, OwnFiles, dict[str, Any]]:
    """A config before its settings are applied, the files that it consists of, and the settings."""
    values = option_values(options)
    with constants.replaced({}):
        config = read(path)
    files, stated = own_files(path), constants.stated
    known = {name for name in SETTINGS if name in stated}
    if 'max_iters' in known:
        known.add('epochs')
    if 'num_classes' not in known:
        # An autoencoder reads no labels.
        known.discard('classes')
    if 'intensity_range' in known:
        # By which volumes are normalised.
        known -= {'mean', 'std'}
    refuse_unread_options(values, config, known)
    assigned = files.assigned.intersection(config)
    if not files.shipped:
        if files.foreign:
            refuse_without_effect(assigned.intersection(SETTINGS) - files.used, known)
        return config, files, {}
    refuse_misspelt(assigned - files.used, known, stated)
    given = {name: config[name] for name in SETTINGS if name in assigned}
    given |= {name: value for name, value in values.items() if name in SETTINGS}
    given |= _settings_by_key(given, config, values)
    given |= _length(given, config, values, known)
    refuse_both_lengths({*given} - files.used)
    refuse_without_effect({*given} - files.used, known)
    given = {name: value for name, value in given.items() if name in known}
    interval = _nested_value(config, values, 'train_cfg.val_interval')
    if 'val_interval' in stated and not given.keys().isdisjoint(LENGTHS.values()) and interval != config.val_interval:
        # Checkpoints are saved as often as the user validates.
        given['val_interval'] = interval
    return config, files, given


def _settings_by_key(given: Mapping[str, Any], config: Config, values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of which an option sets one key, such as ``train_data_prefix.img=FOLDER``."""
    found: dict[str, Any] = {}
    for option, value in values.items():
        name, dot, key = option.partition('.')
        if name in SETTINGS and dot:
            inherited = found.get(name, given.get(name, config.get(name)))
            found[name] = {**(inherited if isinstance(inherited, Mapping) else {}), key: value}
    return found


def _length(given: dict[str, Any], config: Config, values: Mapping[str, Any], known: set[str]) -> dict[str, Any]:
    """The length where it is set by its key in ``train_cfg``; the command line's takes the place of the file's."""
    lengths = {*LENGTHS.values()}
    if not values.keys().isdisjoint({*lengths, *(f'train_cfg.{key}' for key in LENGTHS)}):
        for name in lengths - {*values}:
            given.pop(name, None)
    found = {}
    for key, name in LENGTHS.items():
        value = _nested_value(config, values, f'train_cfg.{key}')
        by_option = f'train_cfg.{key}' in values
        stated = name in known and name in config
        if stated and (by_option or (value not in (None, config[name]) and name not in given)):
            found[name] = value
    return found


def _nested_value(config: Config, values: Mapping[str, Any], key: str) -> Any:
    """The value that a key will have after the options are set."""
    owner, _, name = key.partition('.')
    return values.get(key, (config.get(owner) or {}).get(name))


def _read_inherited(shipped: Iterable[str], values: Mapping[str, Any], read: Read) -> Config:
    """Read only this package's files, with these values of constants."""
    if not values and read is read_config_file:
        return _as_shipped(frozenset(shipped))
    return _with_values(shipped, values, read)


@functools.cache
def _as_shipped(shipped: frozenset[str]) -> Config:
    return _with_values(shipped, {}, read_config_file)


def _with_values(shipped: Iterable[str], values: Mapping[str, Any], read: Read) -> Config:
    with tempfile.TemporaryDirectory() as folder, Constants().replaced(values):
        path = Path(folder, 'inherited.py')
        path.write_text(f'_base_ = {sorted(shipped)!r}', encoding='utf-8')
        return read(str(path))


class Constants:
    """Constants of this package's files while mmengine reads a config.

    Attributes:
        stated: The names of all constants in the files that were read.
    """

    def __init__(self) -> None:
        self.stated: set[str] = set()
        self._original: dict[str, dict[str, Any]] = {}

    @contextlib.contextmanager
    def replaced(self, values: Mapping[str, Any], assigned: Iterable[str] = ()) -> Iterator[None]:
        """Make mmengine read this package's files with these values in place of the constants of the same names.

        Args:
            values: The values.
            assigned: Names that the user's files assign: these files see the constants of an earlier reading in
                ``_base_``, since what they compute from them is in ``values`` already.
        """
        substitute, to_dict = Config._substitute_predefined_vars, Config._file2dict
        reading: list[str] = []

        def replaced_text(filename: str, temporary: str) -> None:
            substitute(filename, temporary)
            if is_shipped(filename):
                self.stated |= _replace(temporary, values)

        def with_original_constants(filename: str, *arguments: Any, **named: Any) -> tuple:
            reader = reading[-1] if reading else ''
            reading.append(filename)
            try:
                found = to_dict(filename, *arguments, **named)
            finally:
                reading.pop()
            if is_shipped(filename) and reader and not is_shipped(reader):
                seen = self._original.setdefault(filename, dict(found[0]))
                found[0].update({name: seen[name] for name in assigned if name in seen and name in values})
            return found

        with (
            replaced(Config, '_substitute_predefined_vars', replaced_text),
            replaced(Config, '_file2dict', with_original_constants),
        ):
            yield


def _replace(path: str, values: Mapping[str, Any]) -> set[str]:
    """Write these values in place of the constants of the same names into a Python file.

    Returns:
        The names of all constants in the file.
    """
    tree = ast.parse(Path(path).read_text(encoding='utf-8'))
    names = set()
    for line in tree.body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            name = line.targets[0].id
            names.add(name)
            if name in values:
                line.value = ast.parse(repr(values[name]), mode='eval').body
    if not names.isdisjoint(values):
        Path(path).write_text(ast.unparse(tree), encoding='utf-8')
    return names
