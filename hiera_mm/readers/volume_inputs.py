"""The volumes that a user asks predictions for, of which each may have several files."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.readers.inputs import Input, Kind, find_inputs, named_inputs
from hiera_mm.readers.listed_volumes import VolumePair, parts_of, read_content, read_volume_list
from hiera_mm.readers.volume_grids import channel_count
from hiera_mm.readers.volume_names import case_and_channel
from hiera_mm.readers.volumes import read_header

LIST_ENDING = '.json'
TESTED = ('test', 'testing')
"""Keys of the volumes to predict for in lists; Auto3DSeg writes the second one."""


def find_volume_inputs(given: Sequence[str], channels: int) -> list[Input]:
    """Find volumes: NIfTI files as :func:`hiera_mm.readers.inputs.find_inputs` does, and lists of volumes.

    For a model of several channels, files with one channel each, ``CASE_0000.nii.gz`` and so on as nnU-Net names them,
    are one volume, if all channels of the case are there.

    Args:
        given: Files, folders, patterns and lists.
        channels: How many channels the model takes.

    Raises:
        UserError: if something can't be read or nothing is found.
    """
    lists = [text for text in given if text.lower().endswith(LIST_ENDING)]
    volumes = [files for text in lists for files in _listed(text)]
    if others := [text for text in given if text not in lists]:
        found = [entry.source for entry in find_inputs(others, [Kind.VOLUME])]
        volumes += _joined(found, channels) if channels > 1 else [(file,) for file in found]
    volumes = list(dict.fromkeys(volumes))
    inputs = named_inputs([(_name(files), Kind.VOLUME) for files in volumes])
    return [replace(entry, source=files[0], more=files[1:]) for entry, files in zip(inputs, volumes, strict=True)]


def volume_pair(entry: Input) -> VolumePair:
    """The files of an input."""
    return VolumePair((entry.source, *entry.more), None)


def _name(files: Sequence[str]) -> str:
    """The path that names a volume: that of its file, or of its first one without the channel."""
    first = Path(files[0])
    return str(first.with_name(case_and_channel(first.name)[0]) if len(files) > 1 else first)


def _listed(path: str) -> list[tuple[str, ...]]:
    """The files of each volume of a list's test part, or of its only part."""
    parts = parts_of(read_content(path))
    chosen = [part for part in parts if part in TESTED] or parts
    if len(chosen) != 1:
        raise UserError(
            f"It is not clear which volumes of the list '{path}' to predict for: it has no 'test', but "
            f'{", ".join(parts) or "nothing"}; name them as "test": [{{"image": ...}}], or give the files themselves.'
        )
    return [pair.images for pair in read_volume_list(path, chosen[0], with_labels=False).pairs]


def _joined(files: Sequence[str], channels: int) -> list[tuple[str, ...]]:
    """The files of each volume."""
    cases: dict[Path, dict[int, str]] = defaultdict(dict)
    for file in files:
        name, channel = case_and_channel(Path(file).name)
        if channel is not None and _has_one_channel(file):
            cases[Path(file).with_name(name)][channel] = file
    whole = [found for found in cases.values() if sorted(found) == list(range(channels))]
    volume_of = {file: tuple(found[n] for n in range(channels)) for found in whole for file in found.values()}
    return list(dict.fromkeys(volume_of.get(file, (file,)) for file in files))


def _has_one_channel(path: str) -> bool:
    try:
        return channel_count([read_header(path)]) == 1
    except BrokenFileError:
        # Told when it is predicted.
        return False
