"""Finds images or videos without labels, for masked autoencoding."""

from __future__ import annotations

from pathlib import Path

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets.class_folders import main_inputs, sides_of
from hiera_mm.readers.found_sets.folder import Folder
from hiera_mm.readers.found_sets.found import FoundPart, FoundSets, account_of
from hiera_mm.readers.found_sets.map_folders import map_folders
from hiera_mm.readers.videos import VIDEO_ENDINGS


def find_unlabelled(folder: Folder, out: Path) -> FoundSets:
    """All images of a folder, or all videos, of which a list is written to ``out``.

    Raises:
        UserError: if there are none, or both.
    """
    maps = map_folders(folder)
    inputs = [path for path in main_inputs(folder) if path.parent not in maps]
    videos = folder.with_ending(*VIDEO_ENDINGS)
    if folder.images and videos:
        raise UserError(
            f"'{folder.root}' holds {len(folder.images)} images and {len(videos)} videos; move one of them to a "
            'folder of its own.'
        )
    if not inputs:
        raise UserError(f"'{folder.root}' holds no images or videos; name the folder that does.")
    for path in inputs:
        folder.use(path, 'train')
    what, ann_file = ('video' if videos else 'image'), None
    if what == 'video':
        ann_file = out / 'train.txt'
        # mmaction2's lists need a label.
        rows = [f'{path.relative_to(folder.root).as_posix()} 0\n' for path in inputs]
        ann_file.write_text(''.join(rows), encoding='utf-8')
    part = FoundPart(ann_file, folder.root, list(map(str, inputs)), sides_of(inputs) if what == 'image' else [])
    parts = dict(train=part)
    return FoundSets(
        f'{what}s without labels', folder.root, parts, account=account_of(parts, folder, what), notes=folder.notes
    )
