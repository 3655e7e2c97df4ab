"""nnU-Net's names of files, of which each holds one channel of a volume: ``CASE_0000.nii.gz``, ``CASE_0001.nii.gz``."""

import re
from pathlib import Path

CHANNEL = re.compile(r'_(\d{4})(?=\.nii(?:\.gz)?$)', re.IGNORECASE)
"""What follows the name of a case, before the ending."""


def case_and_channel(name: str) -> tuple[str, int | None]:
    """The name of a file without its channel, and the channel: ``('liver.nii.gz', 1)`` for ``liver_0001.nii.gz``, and
    ``('liver.nii.gz', None)`` for ``liver.nii.gz``."""
    found = CHANNEL.search(name)
    return CHANNEL.sub('', name), int(found[1]) if found else None


def files_of_case(path: Path) -> list[Path]:
    """The files with the channels of a case that does not exist as one file, by channel; none if there are none."""
    if not path.parent.is_dir():
        return []
    found = {case_and_channel(file.name): file for file in path.parent.iterdir()}
    channels = sorted(channel for case, channel in found if case == path.name and channel is not None)
    return [found[path.name, channel] for channel in channels]
