"""Finds volumes with labels: in a list in the Medical Segmentation Decathlon's format, or in folders."""

from __future__ import annotations

import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.errors import UserError, examples, first_few, require_extra
from hiera_mm.readers.found_sets.folder import Folder, part_named_in
from hiera_mm.readers.found_sets.found import FoundPart, FoundSets, account_of, shared_inputs, with_validation
from hiera_mm.readers.found_sets.index_masks import MASK_WORD, MOST_GAPS
from hiera_mm.readers.found_sets.volume_settings import settings_for
from hiera_mm.readers.listed_volumes import VolumePair, fold_of, folds_of, parts_of, volume_of
from hiera_mm.readers.volume_labels import check_one_number, names_by_number
from hiera_mm.readers.volume_names import case_and_channel
from hiera_mm.readers.volumes import ENDINGS, read_voxels

import numpy as np

PARTS = dict(training='train', validation='val', test='test')
"""Keys of lists, and the parts that they hold."""

Pairs = dict[str | None, list[VolumePair]]
"""Volumes by part; under None where nothing tells the part."""


class Listed(NamedTuple):
    """A list in a folder; empty without one.

    Attributes:
        path: The file.
        content: What it says.
    """

    path: Path
    content: dict[str, Any]


def has_volumes(folder: Folder) -> bool:
    """Whether there are NIfTI files."""
    return bool(folder.with_ending(*ENDINGS))


def find_volumes(folder: Folder, out: Path) -> FoundSets:
    """Find volumes with labels; lists of them are written to ``out``.

    Raises:
        UserError: without nibabel, without labels, for a list that can't be used, or volumes that can't be read.
    """
    require_extra('nibabel', 'volumes')
    listed = _list_in(folder)
    found = _from_list(listed, folder) or _from_folders(folder)
    _check_counts(found, listed, folder)
    split = with_validation(found, folder)
    labels = [pair.label for pair in split['train'] if pair.label]
    classes = _classes(listed, folder) or _classes_by_value(folder, labels)
    settings = settings_for(split['train'], listed.content)
    parts = {part: _write(part, pairs, classes, folder, out) for part, pairs in split.items()}
    return FoundSets(
        'volumes with labels',
        folder.root,
        parts,
        tuple(classes),
        settings,
        account_of(parts, folder, 'volume'),
        folder.notes + shared_inputs(parts, 'volume'),
    )


def _list_in(folder: Folder) -> Listed:
    """The JSON file that lists volumes or names their classes."""
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
        return Listed(path, content)
    return Listed(folder.root, {})


def _from_list(listed: Listed, folder: Folder) -> Pairs:
    """The volumes with labels in each part of a list; those to predict for have none."""
    content = listed.content | _by_fold(listed, folder)
    found: Pairs = {}
    for key, part in PARTS.items():
        entries = content[key] if key in parts_of(content) else []
        if key == 'test':
            entries = [entry for entry in entries if isinstance(entry, dict) and 'label' in entry]
        if pairs := [volume_of(entry, listed.path, key, with_labels=True) for entry in entries]:
            found[part] = pairs
    return found


def _by_fold(listed: Listed, folder: Folder) -> dict[str, Any]:
    """The parts of a list with folds, of which the first one is validated on."""
    folds = folds_of(listed.content)
    if not folds or 'validation' in parts_of(listed.content):
        return {}
    folder.say(
        f'Of the folds {first_few(folds, 10)}, fold {folds[0]} is validated on; for another one set train_ann_file and '
        f"val_ann_file to '{listed.path}' itself, and fold to its number."
    )
    inside: dict[bool, list[Any]] = {True: [], False: []}
    for entry in listed.content['training']:
        inside[fold_of(entry) == folds[0]].append(entry)
    return dict(training=inside[False], validation=inside[True])


def _from_folders(folder: Folder) -> Pairs:
    """Images and labels of the same names; labels lie in a folder that is called so, or their names say it."""
    images: list[Path] = []
    labels: dict[str, Path] = {}
    for path in folder.with_ending(*ENDINGS):
        stem = _stem(path)
        if MASK_WORD.search(path.parent.relative_to(folder.root).as_posix()) or MASK_WORD.search(stem):
            labels[_shortened(stem)] = path
        else:
            images.append(path)
    cases: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        cases[_case(path, labels)].append(path)
    found: Pairs = defaultdict(list)
    for name, files in cases.items():
        label = _label_of(name, labels)
        if label is None:
            for path in files:
                folder.leave_out(path, 'have no labels of their names')
            continue
        named = part_named_in(files[0].parent / 'x', folder.root) or _decathlon(files[0])
        found[named].append(VolumePair(_channels(name, files, folder), str(label)))
    if not found:
        raise UserError(
            f"'{folder.root}' holds volumes, but no labels of their names; put them into folders such as imagesTr and "
            "labelsTr, or write a list in the Medical Segmentation Decathlon's format (dataset.json)."
        )
    return dict(found)


def _case(path: Path, labels: Mapping[str, Path]) -> str:
    """The name of a file's volume: without nnU-Net's channel, unless labels have its whole name."""
    stem = _stem(path)
    return stem if _label_of(stem, labels) else _stem(Path(case_and_channel(path.name)[0]))


def _channels(name: str, files: Sequence[Path], folder: Folder) -> tuple[str, ...]:
    """The files of a volume, by channel."""
    found = {case_and_channel(path.name)[1]: str(path) for path in files}
    numbers = [number for number in found if number is not None]
    if len(files) > 1 and (len(numbers) < len(files) or len({path.parent for path in files}) > 1):
        raise UserError(
            f"The volume '{name}' in '{folder.root}' has several files ({first_few(files)}), but their names do not "
            'tell channels, as CASE_0000.nii.gz and CASE_0001.nii.gz do; rename them, give volumes different names, or '
            'write a list with "image": [...] (dataset.json).'
        )
    if len(files) > 1 and sorted(numbers) != list(range(len(files))):
        raise UserError(
            f"The volume '{name}' in '{folder.root}' has the channels {first_few(sorted(numbers), 10)} by the names of "
            f'its files, but they must be numbered from 0 on without gaps; add those that are missing.'
        )
    return tuple(found[number] for number in sorted(found, key=lambda number: number or 0))


def _check_counts(found: Pairs, listed: Listed, folder: Folder) -> None:
    """Check that all volumes have as many files, and note if there are not as many as the list says."""
    pairs = [pair for part in found.values() for pair in part]
    ((most, _),) = Counter(len(pair.images) for pair in pairs).most_common(1)
    if unlike := [f'{pair.images[0]} has {len(pair.images)}' for pair in pairs if len(pair.images) != most]:
        raise UserError(
            f"{examples(unlike)} of the volumes in '{folder.root}' have another number of files than most, which have "
            f'{most}; add the missing channels, or take these volumes out.'
        )
    wanted, count = listed.content.get('numTraining'), len(pairs) - len(found.get('test', []))
    if isinstance(wanted, int) and wanted != count:
        folder.say(f"'{listed.path.name}' speaks of {wanted} training volumes (numTraining), but {count} are there.")


def _stem(path: Path) -> str:
    return re.sub(r'\.nii(\.gz)?$', '', path.name, flags=re.IGNORECASE)


def _label_of(name: str, labels: Mapping[str, Path]) -> Path | None:
    return labels.get(name) or labels.get(_shortened(name))


def _decathlon(image: Path) -> str | None:
    return dict(imagestr='train', imagesval='val', imagests='test').get(image.parent.name.lower())


def _shortened(stem: str) -> str:
    """A name without what says that the file holds labels: ``1_seg`` and ``1`` belong together."""
    first, mark, last = stem.rpartition('_')
    return first if mark and MASK_WORD.search(f'_{last}') else stem


def _classes(listed: Listed, folder: Folder) -> list[str]:
    """The names of a list's ``labels``; numbers between that have none get one."""
    labels = listed.content.get('labels')
    if not labels:
        return []
    names = names_by_number(labels, listed.path)
    if not names or min(names) < 0:
        raise UserError(
            f'The "labels" of the list of volumes \'{listed.path}\' must be numbers with names, such as '
            '{"0": "background"}, or names with one number each; correct them.'
        )
    return _without_gaps(names, folder)


def _without_gaps(names: Mapping[int, str], folder: Folder) -> list[str]:
    """The names of all numbers up to the highest."""
    missing = [number for number in range(max(names)) if number not in names]
    if missing:
        folder.say(
            f'The numbers of the labels are {first_few(sorted(names), 10)}, without {first_few(missing, 10)}: classes '
            'that nothing has take their places, so that what is predicted has the numbers of the labels.'
        )
    return [names.get(number, f'class {number}') for number in range(max(names) + 1)]


def _classes_by_value(folder: Folder, labels: Sequence[str]) -> list[str]:
    """Names for the numbers that occur."""
    numbers: set[int] = {0}
    for path in labels:
        voxels = read_voxels(path)
        check_one_number(path, voxels.shape)
        values = np.unique(voxels)
        if (values != np.round(values)).any() or values.min() < 0 or values.max() > 255:
            raise UserError(
                f"The labels '{path}' hold {', '.join(f'{value:g}' for value in values[:5])}, which are no numbers of "
                'classes (0 to 255, 0 the background); correct them.'
            )
        numbers |= set(values.astype(int).tolist())
    if numbers == {0}:
        raise UserError(
            f"The labels in '{folder.root}' hold nothing but 0, the background; annotate the volumes first."
        )
    if max(numbers) + 1 > MOST_GAPS * len(numbers):
        raise UserError(
            f"The labels in '{folder.root}' hold {first_few(sorted(numbers), 10)}, which are too far apart to be the "
            'numbers of classes, as those between would be classes that nothing has; number the classes from 0, the '
            'background, on.'
        )
    folder.say('Nothing names the classes, so they are called by their numbers; rename them in the config.')
    return _without_gaps({number: f'class {number}' if number else 'background' for number in numbers}, folder)


def _write(part: str, pairs: Sequence[VolumePair], classes: Sequence[str], folder: Folder, out: Path) -> FoundPart:
    """A part's list; its key is that of the config's data set."""
    ann_file = out / f'{part}.json'
    content = {
        'labels': {str(number): name for number, name in enumerate(classes)},
        'training' if part == 'train' else 'validation': [_entry(pair, out) for pair in pairs],
    }
    ann_file.write_text(json.dumps(content, indent=1), encoding='utf-8')
    for file in (file for pair in pairs for file in (*pair.images, pair.label)):
        folder.use(Path(file or ''), part)
    return FoundPart(ann_file, folder.root, [pair.images[0] for pair in pairs])


def _entry(pair: VolumePair, out: Path) -> dict[str, Any]:
    """An entry of a list in the folder ``out``."""
    images = [os.path.relpath(file, out) for file in pair.images]
    return dict(image=images[0] if len(images) == 1 else images, label=os.path.relpath(pair.label or '', out))
