"""Finds volumes with labels: in a list in the Medical Segmentation Decathlon's format, or in folders."""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hiera_mm.errors import UserError, examples, require_extra
from hiera_mm.readers.found_sets.folder import Folder, part_named_in
from hiera_mm.readers.found_sets.found import FoundPart, FoundSets, account_of, shared_inputs, with_validation
from hiera_mm.readers.found_sets.index_masks import MASK_WORD
from hiera_mm.readers.volumes import ENDINGS, read_header, read_voxels

import numpy as np

FEW = 20
"""Of how many volumes spacing, size and intensities are looked at."""

AIR = -500
"""Intensities below this are Hounsfield units of air, in CT."""

CT_RANGE, CT_SPACING = (-175, 250), (1.5, 1.5, 2.0)
"""Soft tissue, and the voxels that BTCV's recipe has, in millimetres."""

CHANNEL = re.compile(r'_(\d{4})$')
"""What nnU-Net appends to the names of images."""

Pair = tuple[Path, Path]


def has_volumes(folder: Folder) -> bool:
    """Whether there are NIfTI files."""
    return bool(folder.with_ending(*ENDINGS))


def find_volumes(folder: Folder, out: Path) -> FoundSets:
    """Find volumes with labels; lists of them are written to ``out``.

    Raises:
        UserError: without nibabel, without labels, for a list that can't be used, or volumes that can't be read.
    """
    require_extra('nibabel', 'volumes')
    listed, content = _from_list(folder)
    split = with_validation(listed or _from_folders(folder), folder)
    classes = _classes(content) or _classes_by_value(folder, [label for _, label in split['train']])
    parts = {part: _write(part, pairs, classes, folder, out) for part, pairs in split.items()}
    return FoundSets(
        'volumes with labels',
        folder.root,
        parts,
        tuple(classes),
        _preparation([image for image, _ in split['train']], content),
        account_of(parts, folder, 'volume'),
        folder.notes + shared_inputs(parts, 'volume'),
    )


def _from_list(folder: Folder) -> tuple[dict[str | None, list[Pair]], dict[str, Any]]:
    """The pairs of each list in a JSON file, and the file's content."""
    lists = {}
    for path in folder.with_ending('.json'):
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and ('labels' in content or isinstance(content.get('training'), list)):
            lists[path] = content
    if len(lists) > 1:
        raise UserError(
            f"'{folder.root}' has several lists of volumes ({', '.join(path.name for path in lists)}); keep one."
        )
    for path, content in lists.items():
        folder.use(path, 'all')
        keys = dict(training='train', validation='val', test='test')
        found: dict[str | None, list[Pair]] = {}
        for key, part in keys.items():
            entries = content.get(key)
            pairs = [
                (path.parent / entry['image'], path.parent / entry['label'])
                for entry in (entries if isinstance(entries, list) else ())
                if isinstance(entry, dict)
                and isinstance(entry.get('image'), str)
                and isinstance(entry.get('label'), str)
            ]
            if pairs:
                found[part] = pairs
        absent = [str(file) for pairs in found.values() for pair in pairs for file in pair if not file.is_file()]
        if absent:
            raise UserError(
                f"{examples(absent)} of the files that '{path}' lists do not exist; put them there, or correct "
                'the list.'
            )
        return found, content
    return {}, {}


def _from_folders(folder: Folder) -> dict[str | None, list[Pair]]:
    """Images and labels of the same names; labels lie in a folder that is called so, or their names say it."""
    images: dict[str, list[Path]] = defaultdict(list)
    labels: dict[str, Path] = {}
    for path in folder.with_ending(*ENDINGS):
        stem = re.sub(r'\.nii(\.gz)?$', '', path.name, flags=re.IGNORECASE)
        if MASK_WORD.search(path.parent.relative_to(folder.root).as_posix()) or MASK_WORD.search(stem):
            labels[_shortened(stem)] = path
        else:
            images[CHANNEL.sub('', stem)].append(path)
    several = [name for name, files in images.items() if len(files) > 1]
    if several:
        raise UserError(
            f"{examples(several)} of the volumes in '{folder.root}' have several files; join the channels of each into "
            "NIfTI's fourth axis, or give volumes different names."
        )
    parts: dict[str | None, list[Pair]] = defaultdict(list)
    for name, (image,) in images.items():
        label = labels.get(name) or labels.get(_shortened(name))
        if label is None:
            folder.leave_out(image, 'has no labels of its name')
            continue
        named = part_named_in(image.parent / 'x', folder.root) or _decathlon(image)
        parts[named].append((image, label))
    if not parts:
        raise UserError(
            f"'{folder.root}' holds volumes, but no labels of their names; put them into folders such as imagesTr and "
            "labelsTr, or write a list in the Medical Segmentation Decathlon's format (dataset.json)."
        )
    return dict(parts)


def _decathlon(image: Path) -> str | None:
    return dict(imagestr='train', imagesval='val', imagests='test').get(image.parent.name.lower())


def _shortened(stem: str) -> str:
    """A name without what says that the file holds labels: ``1_seg`` and ``1`` belong together."""
    first, mark, last = stem.rpartition('_')
    return first if mark and MASK_WORD.search(f'_{last}') else stem


def _classes(content: dict[str, Any]) -> list[str]:
    """The names of a list's ``labels``, by number in the Decathlon's files and by name in nnU-Net's."""
    labels = content.get('labels')
    if not isinstance(labels, dict) or not labels:
        return []
    numbers = {str(key): value for key, value in labels.items()}
    if all(key.isdigit() for key in numbers):
        named = {int(key): str(value) for key, value in numbers.items()}
    elif all(isinstance(value, int) for value in numbers.values()):
        named = {value: key for key, value in numbers.items()}
    else:
        raise UserError(
            'The "labels" of the list of volumes must be numbers with names, such as {"0": "background"}, or names '
            'with one number each; correct them.'
        )
    return [named.get(number, f'class {number}') for number in range(max(named) + 1)]


def _classes_by_value(folder: Folder, labels: Sequence[Path]) -> list[str]:
    highest = 0
    for path in labels:
        values = np.unique(read_voxels(path))
        if (values != np.round(values)).any() or values.min() < 0 or values.max() > 255:
            raise UserError(
                f"The labels '{path}' hold {', '.join(f'{value:g}' for value in values[:5])}, which are no numbers of "
                'classes (0 to 255, 0 the background); correct them.'
            )
        highest = max(highest, int(values.max()))
    if not highest:
        raise UserError(
            f"The labels in '{folder.root}' hold nothing but 0, the background; annotate the volumes first."
        )
    folder.say('Nothing names the classes, so they are called by their numbers; rename them in the config.')
    return ['background', *(f'class {number}' for number in range(1, highest + 1))]


def _write(part: str, pairs: Sequence[Pair], classes: Sequence[str], folder: Folder, out: Path) -> FoundPart:
    """A part's list; its key is that of the config's data set."""
    ann_file = out / f'{part}.json'
    entries = [{'image': os.path.relpath(image, out), 'label': os.path.relpath(label, out)} for image, label in pairs]
    content = {
        'labels': {str(number): name for number, name in enumerate(classes)},
        'training' if part == 'train' else 'validation': entries,
    }
    ann_file.write_text(json.dumps(content, indent=1), encoding='utf-8')
    for image, label in pairs:
        folder.use(image, part)
        folder.use(label, part)
    return FoundPart(ann_file, folder.root, [str(image) for image, _ in pairs])


def _preparation(images: Sequence[Path], content: dict[str, Any]) -> dict[str, Any]:
    """Spacing, intensities and crops that suit the volumes."""
    from nibabel.orientations import io_orientation

    voxels, sizes, lowest = [], [], []
    for path in images[:: max(1, len(images) // FEW)]:
        header = read_header(path)
        order = np.argsort(io_orientation(header.affine)[:, 0])
        voxels.append(np.linalg.norm(header.affine[:3, :3], axis=0)[order])
        sizes.append(np.array(header.shape[:3])[order] * voxels[-1])
        lowest.append(float(read_voxels(path).min()))
    modality = ' '.join(map(str, (content.get('modality') or content.get('channel_names') or {}).values()))
    is_ct = modality.strip().upper() == 'CT' if modality else min(lowest) < AIR
    size = np.median(sizes, axis=0)
    spacing = np.array(CT_SPACING) if is_ct else np.round(np.median(voxels, axis=0), 3)
    if (size / spacing).min() < 32:
        spacing = np.round(np.median(voxels, axis=0), 3)
    return dict(
        spacing=tuple(float(side) for side in spacing),
        intensity_range=CT_RANGE if is_ct else None,
        crop_size=_crop(size / spacing),
    )


def _crop(shape: np.ndarray) -> tuple[int, int, int]:
    """Up to 96 voxels along each axis: X and Y the same, a multiple of 32, and Z even."""
    side = int(min(96, max(32, round(min(shape[:2]) / 32) * 32)))
    return side, side, int(min(96, max(8, shape[2] // 8 * 8)))
