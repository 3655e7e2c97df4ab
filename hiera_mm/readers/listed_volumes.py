"""Lists of volumes in the Medical Segmentation Decathlon's format, as MONAI's and nnU-Net's programs write them."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.errors import UserError, examples, first_few, first_line
from hiera_mm.readers.coco_values import whole_number
from hiera_mm.readers.volume_labels import check_all_named, names_by_number
from hiera_mm.readers.volume_names import files_of_case

FOLDED = ('training', 'validation')
"""The parts that a fold makes of a list."""


class VolumePair(NamedTuple):
    """The files of one volume.

    Attributes:
        images: Those with its channels, of which the first one tells where voxels lie.
        label: Its labels; None if none are needed.
    """

    images: tuple[str, ...]
    label: str | None


class VolumeList(NamedTuple):
    """One part of a list of volumes.

    Attributes:
        pairs: Its volumes.
        classes: Class names by number, if the file has them.
    """

    pairs: list[VolumePair]
    classes: list[str] | None


def read_volume_list(path: str | Path, part: str, with_labels: bool, fold: int | None = None) -> VolumeList:
    """Read a list in the Medical Segmentation Decathlon's format (``dataset.json``), which MONAI's programs also read.

    An entry's ``image`` is a file, or a list of files with a channel each, which are joined.

    Args:
        path: The JSON file; paths in it are relative to its folder.
        part: ``'training'``, ``'validation'`` or ``'test'``.
        with_labels: Whether each volume needs labels.
        fold: Which of the folds in ``training`` is ``'validation'``, the others being ``'training'``; None for a file
            that has these parts itself.

    Raises:
        UserError: if the file is missing, is not JSON, lacks the part, or names entries or files that can't be used.
    """
    content = read_content(path)
    if fold is not None and part in FOLDED:
        content |= _split(content, fold, path)
    if part not in parts_of(content):
        raise UserError(
            f"The list of volumes '{path}' has no '{part}' (its lists are: {', '.join(parts_of(content)) or 'none'}); "
            + _remedy(content, part)
        )
    pairs = [volume_of(entry, Path(path), part, with_labels) for entry in content[part]]
    return VolumeList(pairs, _classes(content, path))


def _remedy(content: dict[str, Any], part: str) -> str:
    if part in FOLDED and (folds := folds_of(content)):
        return (
            f'its volumes have the folds {first_few(folds, 10)}: set fold = {folds[0]} at the top of the config, to '
            'validate on that one and train on the others.'
        )
    example = f'{{"{part}": [{{"image": "imagesTr/1.nii.gz", "label": "labelsTr/1.nii.gz"}}]}}'
    return f'add it, such as {example}, or name another list with data_list_key.'


def read_content(path: str | Path) -> dict[str, Any]:
    """The content of a list.

    Raises:
        UserError: if the file can't be read.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(f"The list of volumes '{path}' can't be read: {first_line(str(error))}.") from error
    return content if isinstance(content, dict) else {}


def parts_of(content: dict[str, Any]) -> list[str]:
    """The keys of a list's parts that are not empty."""
    return [key for key, value in content.items() if isinstance(value, list) and value]


def folds_of(content: dict[str, Any]) -> list[Any]:
    """The folds that the entries of a list's ``training`` have; none if not all have one."""
    entries = content.get('training')
    folds = [fold_of(entry) for entry in entries or []]
    return sorted(set(folds)) if folds and None not in folds else []


def fold_of(entry: Any) -> int | None:
    """The fold of an entry, also as text or with a decimal point; None without one."""
    return whole_number(entry.get('fold')) if isinstance(entry, dict) else None


def volume_of(entry: Any, path: Path, part: str, with_labels: bool) -> VolumePair:
    """The files of an entry of a list.

    Args:
        entry: ``{"image": ..., "label": ...}``, or the image alone.
        path: The list.
        part: Its part that the entry is in.
        with_labels: Whether labels are needed.

    Raises:
        UserError: if it names no files, files that don't exist, or a file twice.
    """
    entry = entry if isinstance(entry, dict) else dict(image=entry)
    given = entry.get('image')
    images = given if isinstance(given, list) else [given]
    words = f"An entry of '{part}' in the list of volumes '{path}' is {json.dumps(entry)[:200]}; it "
    if not images or not all(isinstance(name, str) for name in images):
        raise UserError(f'{words}needs the path of one file as "image", or a list of files, one for each channel.')
    if with_labels and not isinstance(entry.get('label'), str):
        raise UserError(f'{words}needs the path of one file as "label".')
    files = [_existing(name, path) for name in images]
    label = str(path.parent / entry['label']) if with_labels else None
    if label and not os.path.isfile(label):
        raise _missing(entry['label'], path)
    channels = [file for several in files for file in several]
    places = [os.path.realpath(file) for file in (*channels, *([label] if label else []))]
    if repeated := sorted({place for place in places if places.count(place) > 1}):
        raise UserError(f"{words}names {examples(repeated)} of its files more than once; name each channel's own file.")
    return VolumePair(tuple(channels), label)


def _existing(name: str, path: Path) -> list[str]:
    """The file of a name in a list, or the files of its channels: nnU-Net's first version lists cases."""
    file = path.parent / name
    found = [file] if file.is_file() else files_of_case(file)
    if not found:
        raise _missing(name, path)
    return [str(file) for file in found]


def _missing(name: str, path: Path) -> UserError:
    return UserError(
        f"The list of volumes '{path}' names '{name}', which does not exist in '{path.parent}'; paths are relative to "
        "the list's folder."
    )


def _split(content: dict[str, Any], fold: int, path: str | Path) -> dict[str, Any]:
    """The parts that a fold makes of ``training``."""
    folds = folds_of(content)
    if fold not in folds:
        known = f'its folds are {first_few(folds, 10)}' if folds else 'not every entry of its "training" has a "fold"'
        raise UserError(
            f"fold = {fold} is none of those in the list of volumes '{path}': {known}; correct the setting, or leave "
            'it out for a list with the parts "training" and "validation".'
        )
    if 'validation' in parts_of(content):
        raise UserError(
            f"The list of volumes '{path}' has both folds and a 'validation'; leave out fold = {fold} at the top of "
            'the config, or take one of the two out of the list.'
        )
    inside = [entry for entry in content['training'] if fold_of(entry) == fold]
    return dict(training=[entry for entry in content['training'] if fold_of(entry) != fold], validation=inside)


def _classes(content: dict[str, Any], path: str | Path) -> list[str] | None:
    labels = content.get('labels')
    if not labels:
        return None
    names = names_by_number(labels, path)
    check_all_named(names, labels, path)
    return [names[number] for number in range(len(names))]
