"""A user's folder: the files in it, and what becomes of each one."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from hiera_mm.errors import UserError, examples
from hiera_mm.readers.images import ENDINGS as IMAGE_ENDINGS
from hiera_mm.readers.text import files_below

ANNOTATION_ENDINGS = ('.json', '.xml', '.txt', '.yaml', '.yml', '.names', '.data', '.csv')
"""Endings of files that can hold annotations."""

DESCRIPTIONS = ('.json', '.yaml', '.yml', '.data', '.names', 'classes.txt')
"""Endings of files that describe a set, and can be named instead of its folder."""

NAME_FILES = ('classes.txt', 'labels.txt', 'obj.names', 'class_names.txt', 'names.txt', 'codes.txt')
"""Files with the name of a class on each line, in lower case."""

MARK = '.written_by_hiera_mm_init'
"""A file in folders of converted annotations, which are no part of the user's data."""

PARTS = ('train', 'val', 'test')

USES = dict(train='training', val='validation', test='test')

WORDS = dict(
    train=('train', 'training', 'trainset', 'trainval'),
    val=('val', 'valid', 'validation', 'valset'),
    test=('test', 'testing', 'testset'),
)
"""Words in the names of files and folders, in lower case, that tell the part."""


class Folder:
    """A folder with annotated images, which accounts for every file in it.

    Args:
        path: The folder; or a file in it that describes the set, such as ``data.yaml``.

    Attributes:
        root: The folder.
        files: All files in it, at any depth, in alphabetical order, but no hidden ones.
        images: Those that are images by their endings.

    Raises:
        UserError: if the folder does not exist.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise UserError(f"The folder '{path}' does not exist; correct the path.")
        path = Path(os.path.abspath(path))
        self.given = path
        if path.is_file() and not path.name.lower().endswith(DESCRIPTIONS):
            raise UserError(
                f"'{path}' is a file that describes no set; name the folder of the set, or its annotation file "
                '(.json), data.yaml, obj.data or classes.txt.'
            )
        self.root = path.parent if path.is_file() else path
        found = list(files_below(self.root))
        written = {folder for folder in {path.parent for path in found} if (folder / MARK).exists()}
        self.files = [path for path in found if path.parent not in written] if written else found
        self.images = [path for path in self.files if path.name.lower().endswith(IMAGE_ENDINGS)]
        self._known = set(map(str, self.files))
        self._used: dict[str, str] = {}
        self._left_out: dict[str, str] = {}
        self._noted: dict[str, dict[str, None]] = defaultdict(dict)
        self._said: dict[str, None] = {}

    def __contains__(self, path: Path | str) -> bool:
        """Whether a file exists, in the folder or elsewhere."""
        text = self._key(path)
        if text in self._known or text.startswith(f'{self.root}{os.sep}'):
            return text in self._known
        try:
            return os.path.isfile(text)
        except OSError:
            # A name that is too long.
            return False

    def _key(self, path: Path | str) -> str:
        text = str(path)
        return text if text in self._known else os.path.abspath(text)

    def with_ending(self, *endings: str) -> list[Path]:
        """The files with one of these endings, in lower case; case is ignored."""
        return [path for path in self.files if path.name.lower().endswith(endings)]

    def use(self, path: Path, part: str) -> None:
        """Say that a file is used for a part, or as ``'all'`` for all of them."""
        self._used[self._key(path)] = part

    def leave_out(self, path: Path, reason: str) -> None:
        """Say that a file is not used; ``reason`` completes "image that ..."."""
        self._left_out.setdefault(self._key(path), reason)

    def note(self, sentence: str, item: object) -> None:
        """Remember something that happened to an item; ``sentence`` follows the number of items and their names."""
        self._noted[sentence][str(item)] = None

    def say(self, sentence: str) -> None:
        """Remember a sentence that is whole."""
        self._said[sentence] = None

    @property
    def notes(self) -> list[str]:
        """A sentence for each kind of thing that was noted."""
        return [f'{examples(list(items))} {sentence}' for sentence, items in self._noted.items()] + list(self._said)

    def account(self) -> list[str]:
        """A line for the files of each reason why they are not used; every file that is in no part is in one."""
        groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        for path in self.files:
            if str(path) not in self._used:
                kind = 'image' if path.name.lower().endswith(IMAGE_ENDINGS) else 'file'
                unknown = 'no annotation names' if kind == 'image' else 'belong to no part'
                reason = self._left_out.get(str(path), unknown)
                groups[kind, reason].append(os.path.relpath(path, self.root))
        return [
            f'{len(names)} {kind}{"s" if len(names) > 1 else ""} that {reason}: {", ".join(names[:3])}'
            + (', ...' if len(names) > 3 else '')
            for (kind, reason), names in groups.items()
        ]


def part_named_in(path: Path, root: Path) -> str | None:
    """The part that a file's name tells, or else the folders around it, up to ``root``; None if they tell none, or
    two at once.

    ``instances_train2017.json`` and ``train/labels.json`` are for training, ``train_test.json`` is unknown.
    """
    inner = path.relative_to(root).parts if path.is_relative_to(root) else path.parts
    for name in reversed(inner):
        if named := names_part(Path(name).stem):
            return named[0] if len(named) == 1 else None
    return None


def names_part(name: str) -> list[str]:
    """The parts that a word in the name of a file or folder tells."""
    words = set(''.join(c if c.isalpha() else ' ' for c in name.lower()).split())
    return [part for part in PARTS if words & set(WORDS[part])]


def parts_by_folder(folder: Folder, images: Sequence[Path]) -> dict[str | None, list[Path]]:
    """Images by the part that the folders around them tell; all under None if no folder tells one.

    Images in no such folder are left out if others are in one.
    """
    parts: dict[str | None, list[Path]] = defaultdict(list)
    for image in images:
        parts[part_named_in(image.parent / 'x', folder.root)].append(image)
    if len(parts) > 1:
        for image in parts.pop(None, ()):
            folder.leave_out(image, 'lie in no folder named train, valid or test')
    return dict(parts)


def tails(path: str) -> Iterator[str]:
    """A path, and what remains of it without its first folders: paths of another machine are found by their ends.

    ``C:\\data\\train\\a.jpg`` gives ``data/train/a.jpg``, ``train/a.jpg``, ``a.jpg``.
    """
    pieces = [piece for piece in path.replace('\\', '/').split('/') if piece not in ('', '.', '..')]
    if pieces and pieces[0].endswith(':'):
        pieces = pieces[1:]
    for first in range(len(pieces)):
        yield '/'.join(pieces[first:])
