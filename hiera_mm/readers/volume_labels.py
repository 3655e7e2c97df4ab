"""The classes of volumes: names by number in lists, and labels that give each voxel one of these numbers."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hiera_mm.errors import UserError, first_few

import numpy as np

IGNORED = 'ignore'
"""nnU-Net's name for the number of voxels that training leaves out."""


def names_by_number(labels: Any, path: str | Path) -> dict[int, str]:
    """The names of a list's ``labels``: by number in the Decathlon's files (``{"0": "background"}``), by name in
    nnU-Net's (``{"background": 0}``).

    Args:
        labels: What the list has there.
        path: The list.

    Returns:
        The names; none if ``labels`` has another form, or two names of one number.

    Raises:
        UserError: if a name has several numbers, as nnU-Net's regions have, and if voxels shall be left out.
    """
    if not isinstance(labels, dict):
        return {}
    with suppress(ValueError, TypeError):
        return {int(key): str(value) for key, value in labels.items()}
    numbers = {str(key): _numbers(value) for key, value in labels.items()}
    if IGNORED in numbers:
        raise UserError(
            f"'labels' in the list of volumes '{path}' has '{IGNORED}', the voxels that nnU-Net leaves out, but here "
            'every voxel is trained on; give these voxels a class in the files of labels, and leave the name out.'
        )
    if regions := {name: several for name, several in numbers.items() if len(several) > 1}:
        raise UserError(_about_regions(regions, numbers, path))
    try:
        names = {int(number): name for name, (number,) in numbers.items()}
    except (ValueError, TypeError):
        return {}
    # Of two names of one number, neither is that of the class.
    return names if len(names) == len(numbers) else {}


def check_all_named(names: dict[int, str], labels: Any, path: str | Path) -> None:
    """Check that the names are those of the numbers from 0 on.

    Raises:
        UserError: naming those that are missing.
    """
    if names and sorted(names) == list(range(len(names))):
        return
    missing = [number for number in range(max(names, default=0) + 1) if number not in names]
    raise UserError(
        f"'labels' in the list of volumes '{path}' must name every number from 0 on, such as "
        f'{{"0": "background", "1": "spleen"}}, but is {str(labels)[:150]}'
        + (f', without {first_few(missing)}; name also the numbers that no voxel has.' if names and missing else '.')
    )


def check_one_number(path: str, shape: Sequence[int]) -> None:
    """Check that labels have one number for each voxel.

    Raises:
        UserError: if they have a channel for each class.
    """
    if any(side != 1 for side in shape[3:]):
        raise UserError(
            f"The labels '{path}' have {shape[3]} channels, but labels are one number for each voxel; if each voxel is "
            "in exactly one channel, of which the first is the background, write the channels' argmax instead "
            '(MONAI: AsDiscrete(argmax=True)); where channels overlap, choose one class for each voxel.'
        )


def check_label_values(path: str, labels: np.ndarray, count: int) -> None:
    """Check that all labels are class numbers.

    Raises:
        UserError: naming those that are not.
    """
    values = np.unique(labels)
    if np.isfinite(values).all() and (values == np.round(values)).all() and values[0] >= 0 and values[-1] < count:
        return
    wrong = [f'{value:g}' for value in values if not (0 <= value < count and value == round(value))]
    raise UserError(
        f"The labels '{path}' hold {', '.join(wrong[:3])}{', ...' if len(wrong) > 3 else ''}, but there are {count} "
        f'classes, whose numbers are 0 to {count - 1}; correct the labels, or name all classes (0 is the background, '
        'and numbers between that no voxel has need a name too).'
    )


def _numbers(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _about_regions(regions: dict[str, list[Any]], numbers: dict[str, list[Any]], path: str | Path) -> str:
    listed = '; '.join(f'{name}: {", ".join(map(str, several))}' for name, several in regions.items())
    values = sorted({number for several in numbers.values() for number in several if isinstance(number, int)} - {0})
    example = ', '.join(['"background": 0', *(f'"class {number}": {number}' for number in values)])
    return (
        f"'labels' in the list of volumes '{path}' has regions, which are several numbers together ({listed}), but a "
        f'voxel has one class here; name each number in the files by a class of its own, {{{example}}}, and join the '
        'numbers of a region in what is predicted.'
    )
