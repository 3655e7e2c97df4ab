"""Tells images that lie in several files each, such as satellites' bands, or colour and depth."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets.folder import Folder
from hiera_mm.readers.found_sets.index_masks import MASK_WORD

OTHER = r'nir|ir|infrared|thermal|swir\d?|red_?edge|depth|ndvi|dem|dsm'
"""What files and folders of channels beside colours are called."""

BAND = re.compile(rf'[_.-](B\d{{1,2}}A?|band_?\d{{1,2}}|{OTHER})$', re.IGNORECASE)
FOLDER = re.compile(rf'({OTHER})', re.IGNORECASE)


def refuse_bands(folder: Folder) -> None:
    """Refuse images of several files each, of which every file would be taken for an image.

    Raises:
        UserError: naming two such files.
    """
    if pair := _by_ending(folder) or _by_folder(folder):
        first, second = (path.relative_to(folder.root).as_posix() for path in pair)
        raise UserError(
            f"'{folder.root}' has images in several files each, by their names ('{first}' and '{second}'), which init "
            'does not join; write a config with channels and channel_files by hand, as docs/channels.md has it, or '
            'take what is no image out of the folder.'
        )


def _by_ending(folder: Folder) -> tuple[Path, Path] | None:
    """Two files in a folder whose names differ in a band alone."""
    files: dict[Path, list[Path]] = defaultdict(list)
    banded = set()
    for path in folder.images:
        base = path.with_name(BAND.sub('', path.stem))
        files[base].append(path)
        if base.name != path.stem:
            banded.add(base)
    return next(((files[base][0], files[base][1]) for base in sorted(banded) if len(files[base]) > 1), None)


def _by_folder(folder: Folder) -> tuple[Path, Path] | None:
    """An image beside a folder of depth or the like, and the one of its name inside."""
    inside: dict[tuple[Path, str], dict[Path, Path]] = defaultdict(dict)
    for path in folder.images:
        steps = path.relative_to(folder.root).parts
        for place, step in enumerate(steps[:-1]):
            if FOLDER.fullmatch(step):
                rest = Path(*steps[place + 1 :]).with_suffix('')
                inside[folder.root.joinpath(*steps[:place]), step][rest] = path
    for (beside, _), images in inside.items():
        for path in folder.images:
            steps = path.relative_to(beside).parts if path.is_relative_to(beside) else ()
            if len(steps) < 2 or FOLDER.fullmatch(steps[0]) or MASK_WORD.search(steps[0]):
                continue
            rest = Path(*steps[1:]).with_suffix('')
            if rest in images:
                return path, images[rest]
    return None
