"""Refuses settings of a config that can't take effect."""

import inspect
from collections.abc import Iterator, Mapping, Set
from difflib import get_close_matches
from typing import Any

from hiera_mm.errors import UserError, examples
from hiera_mm.setting_values import FILES as FILE_SETTINGS

from mmengine.config import Config
from mmengine.runner import FlexibleRunner, Runner

RUNNER_SETTINGS = (
    *(name for runner in (Runner, FlexibleRunner) for name in inspect.signature(runner).parameters),
    *('runner_type', 'model_wrapper_cfg', 'find_unused_parameters', 'sync_bn', 'activation_checkpointing'),
    *('efficient_conv_bn_eval', 'state_dict_config', 'log_name', 'custom_imports', 'tta_model', 'tta_pipeline'),
)
"""The keys that mmengine's runners read at the top of a config."""

LONG_FORMS = dict(
    **dict(max_epochs='epochs', max_iters='max_iters', batch_size='batch_size', lr='learning_rate'),
    **dict(num_workers='num_workers'),
    **dict(classes='classes', num_classes='num_classes', num_things_classes='num_classes'),
    **dict(seg_map_suffix='seg_map_suffix'),
    **dict(in_channels='channels', image_channels='channels', mean='mean', std='std', ignore_index='ignore_index'),
    **dict(checkpoint='weights', init_cfg='weights', load_from='weights'),
)
"""Nested keys of a config, and the setting at the top that sets each."""

OTHER_NAMES = dict(
    **dict.fromkeys(('lr', 'base_lr', 'lr0'), 'learning_rate'),
    **dict.fromkeys(('max_epochs', 'max_epoch', 'num_epochs', 'n_epochs', 'total_epochs'), 'epochs'),
    **dict.fromkeys(('iters', 'max_iter', 'num_iters', 'iterations'), 'max_iters'),
    **dict.fromkeys(('workers', 'workers_per_gpu'), 'num_workers'),
    **dict.fromkeys(('train_batch_size', 'samples_per_gpu', 'train_batch_size_per_gpu', 'batch'), 'batch_size'),
    **dict.fromkeys(('img_scale', 'img_size', 'imgsz', 'input_size'), 'image_size'),
    **dict.fromkeys(('class_names', 'metainfo', 'names', 'class_name'), 'classes'),
    **dict.fromkeys(('pretrained', 'init_cfg', 'checkpoint', 'pretrain'), 'weights'),
    **dict.fromkeys(('ignore_label', 'void_index', 'void_label'), 'ignore_index'),
    **dict.fromkeys(('in_channels', 'in_chans', 'num_channels', 'bands', 'ch'), 'channels'),
)
"""Names of settings in other programs, in lower case."""

REASONS = dict(
    classes='an autoencoder has no classes, AVA has label_file and num_classes, and one list does not distinguish '
    'things and stuff (set thing_classes and stuff_classes)',
    thing_classes='only panoptic segmentation tells things and stuff apart; others have classes',
    stuff_classes='only panoptic segmentation tells things and stuff apart; others have classes',
    image_size='volumes have crop_size',
    crop_size='volumes have it, images have image_size',
    max_iters='this run counts epochs',
    ignore_index='masks of semantic segmentation alone have pixels without a class',
    channels='frames of videos are red, green and blue',
    channel_files='frames of videos are red, green and blue, and volumes list their files',
    **dict.fromkeys(('mean', 'std'), 'clips are normalised as in pre-training, and volumes by intensity_range'),
    fold='lists of volumes alone have folds',
)
"""Why some configs don't have a setting."""

MIN_SIMILARITY = 0.8
"""Similarity, as in :func:`difflib.get_close_matches`, from which a name at the top counts as a misspelt setting."""


def refuse_unread_options(values: Mapping[str, Any], config: Config, settings: set[str]) -> None:
    """Refuse ``KEY=VALUE`` options at the top of a config that nothing reads.

    Raises:
        UserError: naming the key that was probably meant, or the name that only the config file itself uses.
    """
    known = {*RUNNER_SETTINGS, *settings}
    for key in values:
        name = key.partition('.')[0]
        if name in known:
            continue
        close = get_close_matches(name, known, n=1)
        if name in config and name not in REASONS:
            raise UserError(
                f"--cfg-options sets '{key}', but only the config file itself uses '{name}', so this would have no "
                'effect; set the keys that it is used for, such as train_dataloader.dataset.pipeline.'
            )
        refuse_without_effect({name} & {*REASONS}, settings)
        hint = f'did you mean {key.replace(name, close[0], 1)}?' if close else 'correct its spelling.'
        raise UserError(f"--cfg-options sets '{key}', but nothing reads '{name}'; {hint}")


def refuse_misspelt(names: set[str], settings: set[str], stated: set[str]) -> None:
    """Refuse names at the top of a user's config that nothing reads, but that were meant as settings: misspellings,
    other programs' names for them, and names that this package's files compute with.

    Args:
        names: The names that the user's files assign, but don't use.
        settings: The settings that the config has.
        stated: The names of all constants of this package's files.

    Raises:
        UserError: naming the setting.
    """
    known = {*RUNNER_SETTINGS, *settings}
    for name in sorted(names - known - {*REASONS}):
        meant = name.lower() if name.lower() in settings else OTHER_NAMES.get(name.lower())
        close = [meant] if meant else get_close_matches(name, known, n=1, cutoff=MIN_SIMILARITY)
        if name in stated and not name.startswith('_'):
            raise UserError(
                f"The config sets '{name}' at its top, which has no effect, since only this package's own files "
                'compute with it; set the keys that it is used for, such as train_dataloader.dataset.pipeline or '
                'param_scheduler.'
            )
        if close:
            raise UserError(f"The config sets '{name}' at its top, which nothing reads; did you mean {close[0]}?")


def refuse_without_effect(names: set[str], settings: set[str]) -> None:
    """Refuse settings that a config does not have.

    Raises:
        UserError: listing the settings that it has.
    """
    available = ', '.join(sorted(settings)) or 'nothing'
    for name in sorted(names - settings):
        raise UserError(
            f"'{name}' at the top of this config has no effect: {REASONS.get(name, 'nothing uses it')}; leave it out. "
            f'What can be set there: {available}.'
        )


def refuse_both_lengths(names: set[str]) -> None:
    """Refuse ``epochs`` together with ``max_iters``.

    Raises:
        UserError: if both are set.
    """
    if {'epochs', 'max_iters'} <= names:
        raise UserError('The config sets both epochs and max_iters; leave one of them out.')


def refuse_class_count(settings: Mapping[str, Any]) -> None:
    """Refuse a ``num_classes`` that is not the number of ``classes``.

    Raises:
        UserError: naming both.
    """
    classes, number = settings.get('classes'), settings.get('num_classes')
    if classes is not None and number not in (None, len(classes)):
        raise UserError(f'The config sets classes = {classes} and num_classes = {number}; leave num_classes out.')


def refuse_half_of_the_classes(settings: Mapping[str, Any]) -> None:
    """Refuse things without stuff or the other way round, and a class that is both.

    Raises:
        UserError: naming the setting that is missing, or the classes.
    """
    given = {name: settings[name] for name in ('thing_classes', 'stuff_classes') if settings.get(name) is not None}
    if len(given) == 1:
        (name,) = given
        other = 'stuff_classes' if name == 'thing_classes' else 'thing_classes'
        raise UserError(
            f'The config sets {name} without {other}, which would stay those of COCO; set both, an empty one as '
            f'{other} = ().'
        )
    if len(given) == 2:
        things, stuff = given.values()
        if both := [name for name in things if name in stuff]:
            raise UserError(
                f'The classes {examples(both)} are in both thing_classes and stuff_classes; leave each in one of them.'
            )
        if not things and not stuff:
            raise UserError('The config sets thing_classes and stuff_classes, but both are empty; name the classes.')


def refuse_mean_of_other_channels(settings: Mapping[str, Any]) -> None:
    """Refuse ``mean`` without ``std`` or the other way round, and numbers of them that differ from ``channels``. Both
    may be missing beside ``channels``: the check of the data computes them.

    Raises:
        UserError: naming the settings.
    """
    given = {name: len(settings[name]) for name in ('mean', 'std') if name in settings}
    if len(given) == 1:
        raise UserError(f'The config sets {next(iter(given))} without the other of mean and std; set both.')
    for name, number in given.items():
        if number != settings.get('channels', number):
            raise UserError(
                f'The config sets channels = {settings["channels"]}, but {name} has {number} '
                f'number{"s" * (number != 1)}; give one for each channel.'
            )


def refuse_ignored_number_of_shipped_classes(settings: Mapping[str, Any], before: Config) -> None:
    """Refuse ``ignore_index`` for a set whose own class numbers its masks.

    Args:
        settings: The settings of the user's config.
        before: The inherited config, without the settings.

    Raises:
        UserError: naming the setting.
    """
    if settings.get('ignore_index') is not None and settings.get('classes', before.get('classes')) is None:
        raise UserError(
            f'ignore_index = {settings["ignore_index"]} at the top of the config is for masks of classes of your own; '
            'set classes as well, or leave it out.'
        )


def refuse_contradictions(
    settings: Mapping[str, Any],
    before: Config,
    after: Config,
    config: Config,
    overridden: Set[tuple[str, ...]],
) -> None:
    """Refuse a nested key that contradicts its setting at the top, and a setting whose effect is overridden by nested
    keys everywhere.

    Args:
        settings: The settings at the top of the user's config.
        before: The inherited config, without the settings.
        after: The inherited config, with the settings.
        config: The user's config, with the settings.
        overridden: The keys that the command line sets, which may contradict the config.

    Raises:
        UserError: naming both.
    """
    changed = [(path, value) for path, value in _changed(before, after) if path not in overridden]
    for name in (name for name in settings if name.endswith(FILE_SETTINGS)):
        for path, value in changed:
            found = _value_at(config, path)
            inside_lists = any(key.isdigit() for key in path)
            same = any(value == text or str(value).endswith(f'/{text}') for text in _texts_of(settings[name]))
            if same and found not in (None, value) and not inside_lists:
                raise UserError(
                    f'The config sets {".".join(path)} = {found!r}, and at its top {name} = {settings[name]!r} for the '
                    'same; leave one of them out.'
                )
    for path, value in changed:
        name, found = LONG_FORMS.get(path[-1], ''), _value_at(config, path)
        if name == 'num_classes' and 'classes' in settings:
            name = 'classes'
        if name in settings and found not in (None, value):
            raise UserError(
                f'The config sets {".".join(path)} = {found}, and at its top {name} = {settings[name]} for the same; '
                'leave one of them out.'
            )
    for name, setting in settings.items():
        paths = [path for path, value in changed if value == setting]
        if paths and not any(_value_at(config, path) == setting for path in paths):
            raise UserError(
                f'{name} = {setting} at the top of the config has no effect, since the config sets '
                f'{".".join(paths[0])}, and every other key that it would set, to something else; leave one of them '
                'out.'
            )


def values_without_effect(settings: Mapping[str, Any], before: Config, after: Config, config: Config) -> set[str]:
    """Settings that name files and folders which occur nowhere in the inherited config, or only where nothing runs.

    Args:
        settings: The settings at the top of the user's config.
        before: The inherited config, without the settings.
        after: The inherited config, with the settings.
        config: The user's config, with the settings.
    """
    idle = {part for part in ('val', 'test') if config.get(f'{part}_cfg') is None}
    changed = [value for path, value in _changed(before, after) if path[0].partition('_')[0] not in idle]
    return {
        name
        for name, value in settings.items()
        if name.endswith(FILE_SETTINGS) and value != before.get(name)
        if not all(any(_comes_from(found, text) for found in changed) for text in _texts_of(value))
    }


def _changed(before: Config, after: Config) -> list[tuple[tuple[str, ...], Any]]:
    """The nested values that runners read and that differ, as they are after, with their paths."""
    return [
        (path, value)
        for path, value in _leaves(after)
        if path[0] in RUNNER_SETTINGS and _value_at(before, path) != value
    ]


def _comes_from(value: Any, path: str) -> bool:
    """Whether a value of a config is a path, or the path inside a folder."""
    return isinstance(value, str) and (value == path or value.endswith(f'/{path}') or value.startswith(path))


def _texts_of(value: Any) -> list[str]:
    """The paths in a setting that are not empty."""
    return [
        text for text in (value.values() if isinstance(value, Mapping) else [value]) if isinstance(text, str) and text
    ]


def _leaves(part: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The nested values of a config, with their paths."""
    entries = part.items() if isinstance(part, dict | Config) else enumerate(part) if isinstance(part, list) else ()
    for key, value in entries:
        yield from _leaves(value, (*path, str(key)))
    if not isinstance(part, dict | list | Config) and path:
        yield path, part


def _value_at(config: Config, path: tuple[str, ...]) -> Any:
    """The value at a path; None if there is no such path."""
    part: Any = config
    for key in path:
        if isinstance(part, list):
            part = part[int(key)] if key.isdigit() and int(key) < len(part) else None
        else:
            part = part.get(key) if isinstance(part, dict | Config) else None
    return part
