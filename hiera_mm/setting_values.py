"""Converts a user's settings to the form of this package's constants, and refuses values that can't be meant."""

import math
import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hiera_mm.errors import UserError, examples
from hiera_mm.readers.channels import ChannelReader
from hiera_mm.readers.class_names import classes_from

CLASS_LISTS = ('classes', 'thing_classes', 'stuff_classes')
COUNTS = ('batch_size', 'max_iters', 'num_classes', 'channels')
SIZES = ('image_size', 'crop_size')
POSITIVE = ('epochs', 'learning_rate')
FILES = ('data_root', 'label_file', '_ann_file', '_data_prefix', '_exclude_file', '_proposal_file')
"""Endings of settings that name files and folders."""

NUMBERS = ('timestamp_start', 'spacing')

ZSCORE = 'zscore'
"""Intensities with mean 0 and deviation 1 in each volume."""

OPTIONAL = ('_exclude_file', '_proposal_file', 'label_file', '_ann_file')
"""Endings of settings that may be None."""


def converted(name: str, value: Any, shipped: Any) -> Any:
    """Convert a value: one side to a pair, a folder to a dict of folders, a file of class names to the names, numpy's
    numbers to Python's.

    Args:
        name: Name of the setting.
        value: The user's value.
        shipped: The constant in this package's files.

    Raises:
        UserError: for a value that the setting can't have.
    """
    value = value.tolist() if hasattr(value, 'tolist') else value
    if name in CLASS_LISTS:
        return value if value is shipped else _classes(name, value)
    if name in COUNTS:
        return _whole(name, value)
    if name == 'num_workers':
        return _whole(name, value, least=0)
    if name in SIZES:
        return _sides(name, value, shipped)
    if name in POSITIVE:
        return _positive(name, value, whole=isinstance(shipped, int))
    if name == 'weights':
        return _weights(value)
    if name in ('mean', 'std'):
        return _of_channels(name, value)
    if name == 'ignore_index':
        return _whole(name, value, least=0, most=255)
    if name == 'channel_files':
        return _patterns(name, value)
    if name == 'seg_map_suffix' and (not isinstance(value, str) or not value):
        raise _refused(name, value, "the end of the masks' names, such as '_mask.png'")
    if name == 'intensity_range':
        return _intensities(name, value)
    if name == 'fold':
        return value if value is None else _whole(name, value, least=0)
    if name in NUMBERS:
        return _numbers(name, value, shipped)
    return _file(name, value, shipped) if name.endswith(FILES) else value


def _refused(name: str, value: object, wanted: str) -> UserError:
    return UserError(f'{name} = {value!r} at the top of the config must be {wanted}.')


def _classes(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, list | tuple) and not value and name != 'classes':
        # A set may have things alone or stuff alone.
        return ()
    if not isinstance(value, str | list | tuple) or not value:
        raise _refused(name, value, "the names of the classes, such as ('cat', 'dog'), or a file with one a line")
    names = classes_from(value)
    if wrong := [one for one in names if not isinstance(one, str) or not one.strip()]:
        raise UserError(f'The {name} at the top of the config must be names, but {examples(wrong)} are not text.')
    repeated = [one for one, count in Counter(names).items() if count > 1]
    if repeated:
        raise UserError(
            f'The {name} at the top of the config name {examples(repeated)} more than once; give each class its own '
            'name.'
        )
    return names


def _whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    if type(value) is not int or value < least or (most is not None and value > most):
        raise _refused(name, value, f'a whole number from {least} {"on" if most is None else f"to {most}"}')
    return value


def _positive(name: str, value: Any, whole: bool) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise _refused(name, value, 'a number above 0')
    if name == 'epochs' and whole and value != int(value):
        raise _refused(name, value, 'a whole number, since this run counts epochs')
    return int(value) if name == 'epochs' and whole else value


def _sides(name: str, value: Any, shipped: Any) -> int | tuple[int, ...]:
    sides = [side.item() if hasattr(side, 'item') else side for side in value] if _is_list(value) else [value]
    if not sides or any(type(side) is not int or side < 1 for side in sides):
        raise _refused(name, value, f'whole numbers of pixels, such as {shipped}')
    if not _is_list(shipped):
        if len(set(sides)) != 1:
            raise UserError(f'{name} = {value} at the top of the config must be one number, such as {shipped}.')
        return sides[0]
    if len(sides) not in (len(shipped), 1) or (_is_list(value) and len(sides) != len(shipped)):
        raise UserError(f'{name} = {value} at the top of the config needs {len(shipped)} numbers, such as {shipped}.')
    return tuple(sides) if len(sides) > 1 else tuple(sides) * len(shipped)


def _numbers(name: str, value: Any, shipped: Any) -> Any:
    numbers = _finite(value)
    wanted = 3 if name == 'spacing' else 1
    if len(numbers) != wanted:
        raise _refused(name, value, f'{wanted} number{"s" * (wanted > 1)}, such as {shipped!r}')
    if name == 'spacing' and min(numbers) <= 0:
        raise _refused(name, value, 'millimetres above 0')
    if name == 'timestamp_start' and (numbers[0] < 0 or numbers[0] != int(numbers[0])):
        raise _refused(name, value, 'a whole number of seconds')
    return numbers if wanted > 1 else int(numbers[0])


def _of_channels(name: str, value: Any) -> list[float]:
    given = [one.item() if hasattr(one, 'item') else one for one in value] if _is_list(value) else []
    numbers = [float(one) for one in given if isinstance(one, int | float) and not isinstance(one, bool)]
    wrong = not numbers or len(numbers) != len(given) or not all(map(math.isfinite, numbers))
    if wrong or (name == 'std' and min(numbers) <= 0):
        raise _refused(name, value, f'a list of numbers{" above 0" * (name == "std")}, one for each channel')
    return numbers


def _patterns(name: str, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not _is_list(value) or not _are_texts(value):
        raise _refused(name, value, "a list of the files of an image, such as ('rgb/*.jpg', 'depth/*.png')")
    ChannelReader(len(value), value)
    return tuple(value)


def _intensities(name: str, value: Any) -> Any:
    """One range for all channels, or a list with one for each."""
    if _is_list(value) and any(one is None or isinstance(one, str | list | tuple) for one in value):
        ranges = [_range(name, one) for one in value]
        return ranges[0] if len(ranges) == 1 else ranges
    return _range(name, value)


def _range(name: str, value: Any) -> tuple[Any, ...] | str | None:
    if value is None or value == ZSCORE:
        return value
    numbers = _finite(value)
    if len(numbers) != 2:
        wanted = f"2 numbers, such as (-175, 250), None, '{ZSCORE}', or a list with one of these for each channel"
        raise _refused(name, value, wanted)
    if not numbers[0] < numbers[1]:
        raise _refused(name, value, 'the lower intensity and then the higher one')
    return numbers


def _finite(value: Any) -> tuple[Any, ...]:
    """One number or several; none if any of them is none or infinite."""
    numbers = tuple(n.item() if hasattr(n, 'item') else n for n in (value if _is_list(value) else [value]))
    finite = all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in numbers)
    return numbers if finite else ()


def _weights(value: Any) -> str | None:
    value = os.fspath(value) if isinstance(value, os.PathLike) else value
    if value is None or (isinstance(value, str) and value.strip()):
        return value
    raise _refused(
        'weights', value, "a name, file or address of weights, such as 'hiera_t.mae_in1k', or None for random ones"
    )


def _file(name: str, value: Any, shipped: Any) -> Any:
    value = os.fspath(value) if isinstance(value, os.PathLike) else value
    if value is None and (shipped is None or name.endswith(OPTIONAL)):
        return value
    if isinstance(shipped, Mapping):
        folders = {next(iter(shipped)): value} if isinstance(value, str) else value
        if isinstance(folders, Mapping) and _are_texts(folders.values()) and _have_place(folders, shipped):
            return dict(folders)
        raise _refused(name, value, f'a folder, or a dict of folders with the keys {", ".join(shipped)}')
    if not isinstance(value, str):
        raise _refused(name, value, f'a path, such as {shipped!r}' if shipped else 'a path')
    return value


def _have_place(folders: Mapping, shipped: Mapping) -> bool:
    # Action detection reads frames or whole videos.
    instead_of_frames = list(shipped) == ['img'] and list(folders) == ['video']
    return instead_of_frames or set(folders) <= set(shipped)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _are_texts(values: Any) -> bool:
    return all(isinstance(value, str) for value in values)
