"""What is found in a folder: the parts of a set, its classes, and what became of each file."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.errors import UserError, examples
from hiera_mm.readers.found_sets.folder import USES, Folder

VALIDATION_SHARE = 0.2
"""Share of the items to validate on, for a set without a validation part."""


class FoundPart(NamedTuple):
    """A training, validation or test set.

    Attributes:
        ann_file: The file that lists or annotates it; None if all files in its folder belong to it.
        folder: The folder that its images' or videos' names are relative to.
        images: Path of each image, video or volume.
        longest_sides: The longer side of each image, in pixels; of some, where there are many, or of none.
        objects: Number of objects that are neither ignored nor crowds.
        masks: Whether each of these has a mask.
        beside: Further files and folders, by what follows the part in the name of a setting or the key of its folders,
            such as ``proposal_file`` and ``seg_map_path``; None where the
            set lacks what its task may have.
    """

    ann_file: Path | None
    folder: Path
    images: list[str]
    longest_sides: list[int] = []
    objects: int = 0
    masks: bool = False
    beside: Mapping[str, Path | None] = {}


@dataclass
class FoundSets:
    """A set.

    Attributes:
        kind: What its annotations say, see :data:`hiera_mm.first_config.KINDS`.
        folder: The user's folder.
        parts: Train, and where there are any, val and test.
        classes: Names of the classes; empty without names.
        settings: Further settings of the config; a path is written relative to the set.
        account: Lines that say what became of each file.
        notes: Sentences about what was repaired or should be looked at.
    """

    kind: str
    folder: Path
    parts: dict[str, FoundPart]
    classes: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    account: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def masks(self) -> bool:
        """Whether the set is one of objects with masks."""
        return self.kind == 'objects with masks'


def with_validation(
    parts: Mapping[str | None, list], folder: Folder, group: Callable[[Any], Hashable] = lambda item: None
) -> dict[str, list]:
    """The parts train, val and, where there is one, test. Without a validation part, a fifth of the training part,
    chosen at random but always the same, becomes it.

    Args:
        parts: The items of each part; under None where nothing tells the parts.
        folder: The user's folder, which is told.
        group: The class of an item, of which some shall be in each part.

    Raises:
        UserError: if there is no training part, or only one item to train and validate on.
    """
    filled = {part: items for part, items in parts.items() if items}
    train = filled.get('train', filled.get(None))
    if train is None:
        raise UserError(
            f"'{folder.root}' has no training part with images, only {', '.join(map(str, filled)) or 'none at all'}; "
            "put the word 'train' into the name of its file or folder."
        )
    result = {'train': train, 'val': filled.get('val', [])}
    if not result['val']:
        apart = _chosen(train, group)
        if not apart:
            raise UserError(
                f"'{folder.root}' has {len(train)} images; at least two are needed, to train and to validate."
            )
        result['train'] = [item for i, item in enumerate(train) if i not in apart]
        result['val'] = [item for i, item in enumerate(train) if i in apart]
        folder.say(
            f'There is no validation part, so {len(apart)} of the {len(train)} training images, chosen at random, are '
            'put apart for it.'
        )
    if 'test' in filled:
        result['test'] = filled['test']
    return result


def _chosen(items: list, group: Callable[[Any], Hashable]) -> set[int]:
    """Numbers of the items to validate on: of each group with at least two a fifth."""
    groups: dict[Hashable, list[int]] = defaultdict(list)
    for i in sorted(range(len(items)), key=lambda i: str(items[i])):
        groups[group(items[i])].append(i)
    chosen: set[int] = set()
    for order in groups.values():
        random.Random(0).shuffle(order)
        chosen |= set(order[: max(1, round(VALIDATION_SHARE * len(order)))] if len(order) > 1 else [])
    return chosen


def account_of(parts: Mapping[str, FoundPart], folder: Folder, what: str = 'image') -> list[str]:
    """Lines that say how much each part holds, and what became of the other files."""
    used = [f'{USES[name]:<10}  {_count(part, what)}' for name, part in parts.items()]
    return used + [f'{"left out":<10}  {line}' for line in folder.account()]


def _count(part: FoundPart, what: str) -> str:
    counts = [(len(part.images), what), *([(part.objects, 'object')] if part.objects else [])]
    return ', '.join(f'{number} {word}{"" if number == 1 else "s"}' for number, word in counts)


def shared_inputs(parts: Mapping[str, FoundPart], what: str = 'image') -> list[str]:
    """A sentence for each two parts that share images, since results on these say nothing about new images."""
    images = {name: set(map(os.path.realpath, part.images)) for name, part in parts.items()}
    return [
        f'{examples(sorted(shared))} of the {what}s are in both the {USES[first]} and the {USES[second]} part.'
        for first, second in (('train', 'val'), ('train', 'test'), ('val', 'test'))
        if (shared := images.get(first, set()) & images.get(second, set()))
    ]
