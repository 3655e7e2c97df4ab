"""Settings of a config that can't take effect, told in a sentence."""

import inspect
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.readers.class_names import classes_from

from mmengine.config import Config
from mmengine.runner import FlexibleRunner, Runner

RUNNER_SETTINGS = (
    *(name for runner in (Runner, FlexibleRunner) for name in inspect.signature(runner).parameters),
    *('runner_type', 'model_wrapper_cfg', 'find_unused_parameters', 'sync_bn', 'activation_checkpointing'),
    *('efficient_conv_bn_eval', 'state_dict_config', 'log_name', 'custom_imports', 'tta_model', 'tta_pipeline'),
)
"""What mmengine's runners look for at the top of a config."""

LONG_FORMS = dict(
    **dict(max_epochs='epochs', max_iters='max_iters', batch_size='batch_size', lr='learning_rate'),
    **dict(classes='classes', num_classes='num_classes', num_things_classes='num_classes'),
)
"""Keys deep in a config, and the setting that is the short form of each."""

REASONS = dict(
    classes='an autoencoder has no classes, AVA has label_file and num_classes, and one list does not tell things from '
    'stuff (set num_things_classes and num_stuff_classes of model.panoptic_head and model.panoptic_fusion_head)',
    image_size='volumes have crop_size',
    crop_size='volumes have it, pictures have image_size',
    max_iters='this run counts epochs',
)
"""Why some configs don't have a setting."""

MIN_SIMILARITY = 0.8
"""As :func:`difflib.get_close_matches` counts, from here on a name at the top of a file is a setting misspelt."""


def refuse_unread_options(values: Mapping[str, Any], config: Config, settings: set[str]) -> None:
    """Refuse ``KEY=VALUE`` options at the top of a config that nothing reads.

    Raises:
        UserError: naming the one that was probably meant, or the one that only the config file itself uses.
    """
    known = {*RUNNER_SETTINGS, *settings}
    for key in values:
        name = key.partition('.')[0]
        if name in known:
            continue
        close = get_close_matches(name, known, n=1)
        if name in config and name not in REASONS:
            raise UserError(
                f"--cfg-options sets '{key}', but '{name}' is a name that only the config file itself uses, so that "
                'would have no effect; set the keys that it is used for, such as train_dataloader.dataset.pipeline.'
            )
        refuse_without_effect({name} & {*REASONS}, settings)
        hint = f'did you mean {key.replace(name, close[0], 1)}?' if close else 'correct its spelling.'
        raise UserError(f"--cfg-options sets '{key}', but nothing reads '{name}'; {hint}")


def refuse_misspelt(names: set[str], settings: set[str]) -> None:
    """Refuse names at the top of a user's config that are almost those of settings.

    Raises:
        UserError: naming the setting.
    """
    known = {*RUNNER_SETTINGS, *settings}
    for name in sorted(names - known):
        if close := get_close_matches(name, known, n=1, cutoff=MIN_SIMILARITY):
            raise UserError(f"The config sets '{name}' at its top, which nothing reads; did you mean {close[0]}?")


def refuse_without_effect(names: set[str], settings: set[str]) -> None:
    """Refuse settings that a config does not have.

    Raises:
        UserError: with those that it has.
    """
    there = ', '.join(sorted(settings)) or "none of this suite's settings"
    for name in sorted(names - settings):
        raise UserError(
            f"'{name}' at the top of this config has no effect: {REASONS.get(name, 'nothing is computed with it')}; "
            f'leave it out. What can be set there: {there}.'
        )


def refuse_both_lengths(names: set[str]) -> None:
    """Refuse ``epochs`` beside ``max_iters``.

    Raises:
        UserError: if both are there.
    """
    if {'epochs', 'max_iters'} <= names:
        raise UserError('The config sets both epochs and max_iters; leave one of them out.')


def refuse_another_number(settings: Mapping[str, Any]) -> None:
    """Refuse ``num_classes`` that is not the number of ``classes``.

    Raises:
        UserError: naming both.
    """
    classes, number = settings.get('classes'), settings.get('num_classes')
    if classes is not None and number not in (None, len(classes)):
        raise UserError(f'The config sets classes = {classes} and num_classes = {number}; leave num_classes out.')


def in_the_form_of(shipped: Any, name: str, value: Any) -> Any:
    """What a user wrote in the form that the suite's files compute with: a pair for one side, a dict of folders for
    one, names of classes for the file that has them.

    Args:
        shipped: The constant of the suite's files.
        name: Of the setting.
        value: What the user wrote.

    Raises:
        UserError: for two different sides where there is but one, and other numbers of sides.
    """
    if name == 'classes':
        return classes_from(value)
    if isinstance(shipped, dict):
        return {next(iter(shipped)): value} if isinstance(value, str) else dict(value)
    if isinstance(shipped, tuple) and isinstance(value, int):
        return (value,) * len(shipped)
    if isinstance(shipped, tuple) and len(value) != len(shipped):
        raise UserError(f'{name} = {value} at the top of the config needs {len(shipped)} numbers, such as {shipped}.')
    if isinstance(shipped, int) and isinstance(value, list | tuple):
        if len({*value}) != 1:
            raise UserError(f'{name} = {value} at the top of the config must be one number, such as {shipped}.')
        return value[0]
    return tuple(value) if isinstance(value, list) else value


def refuse_contradictions(settings: Mapping[str, Any], before: Config, after: Config, config: Config) -> None:
    """Refuse a key that is set to something else than by its short form at the top, and a setting that keys in their
    long form leave without any effect.

    Args:
        settings: At the top of the user's config.
        before: What it inherits, without the settings.
        after: What it inherits, with them.
        config: The user's config, with them.

    Raises:
        UserError: naming both.
    """
    changed = [
        (place, value) for place, value in _leaves(after) if place[0] in RUNNER_SETTINGS and _at(before, place) != value
    ]
    for place, value in changed:
        name, found = LONG_FORMS.get(place[-1], ''), _at(config, place)
        if name == 'num_classes' and 'classes' in settings:
            name = 'classes'
        if name in settings and found not in (None, value):
            raise UserError(
                f'The config sets {".".join(place)} = {found}, and at its top {name} = {settings[name]} for the same; '
                'leave one of them out.'
            )
    for name, setting in settings.items():
        places = [place for place, value in changed if value == setting]
        if places and not any(_at(config, place) == setting for place in places):
            raise UserError(
                f'{name} = {setting} at the top of the config has no effect, as the config has something else in '
                f'{".".join(places[0])} and wherever else it would be; leave one of them out.'
            )


def _leaves(part: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The values deep in a config, with their places."""
    entries = part.items() if isinstance(part, dict | Config) else enumerate(part) if isinstance(part, list) else ()
    for key, value in entries:
        yield from _leaves(value, (*place, str(key)))
    if not isinstance(part, dict | list | Config) and len(place) > 1:
        yield place, part


def _at(config: Config, place: tuple[str, ...]) -> Any:
    """What is at a place; None where there is no such place."""
    part: Any = config
    for key in place:
        if isinstance(part, list):
            part = part[int(key)] if key.isdigit() and int(key) < len(part) else None
        else:
            part = part.get(key) if isinstance(part, dict | Config) else None
    return part
