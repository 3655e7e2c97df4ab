"""Finds images or videos with one class each: in a folder for each class, in lists, or in tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hiera_mm.errors import BrokenFileError, UserError, examples
from hiera_mm.readers.class_names import class_names_file
from hiera_mm.readers.found_sets.class_lists import lists_in, read_lists
from hiera_mm.readers.found_sets.conversion import distinct
from hiera_mm.readers.found_sets.folder import WORDS, Folder
from hiera_mm.readers.found_sets.found import FoundPart, FoundSets, account_of, shared_inputs, with_validation
from hiera_mm.readers.images import read_image_header
from hiera_mm.readers.videos import VIDEO_ENDINGS

MANY = 1000
"""Of how many images the size is looked at."""

COMMON = {'image', 'images', 'img', 'imgs', 'video', 'videos', 'clip', 'clips', 'set', 'data', 'split'}
"""Words that the name of a part's folder may have beside the part."""

Labelled = list[tuple[Path, str]]


def has_class_folders(folder: Folder) -> bool:
    """Whether images or videos lie in folders of at least two classes, or a list or a table gives them one."""
    inputs = main_inputs(folder)
    classes = _count_folders(folder, inputs)
    return classes > 1 or bool(lists_in(folder, inputs, tables=True))


def find_class_folders(folder: Folder, out: Path) -> FoundSets:
    """Find labelled images or videos; lists of them are written to ``out``.

    Raises:
        UserError: without classes, or for a list that can't be used.
    """
    inputs = main_inputs(folder)
    lists = lists_in(folder, inputs, tables=_count_folders(folder, inputs) < 2)
    others = folder.images if inputs is not folder.images else folder.with_ending(*VIDEO_ENDINGS)
    if not lists and _count_folders(folder, others) > 1:
        raise UserError(
            f"'{folder.root}' holds both images and videos in class folders; move one of them to a folder of its own."
        )
    what = 'video' if inputs and inputs[0].name.lower().endswith(VIDEO_ENDINGS) else 'image'
    labelled, names = read_lists(folder, lists, inputs) if lists else _in_folders(folder, inputs, what)
    parts = with_validation(labelled, folder, group=lambda item: item[1])
    unseen = sorted({name for items in parts.values() for _, name in items} - {name for _, name in parts['train']})
    if unseen:
        folder.say(f'{examples(unseen)} of the classes have no {what} in the training part, so they are never learned.')
    numbers = {name: number for number, name in enumerate(names)}
    found = {part: _write(part, items, numbers, folder, out, what) for part, items in parts.items()}
    return FoundSets(
        f'{what}s with a class',
        folder.root,
        found,
        tuple(names),
        account=account_of(found, folder, what),
        notes=folder.notes + shared_inputs(found, what),
    )


def main_inputs(folder: Folder) -> list[Path]:
    """The images, or the videos if these are more."""
    videos = folder.with_ending(*VIDEO_ENDINGS)
    return videos if len(videos) > len(folder.images) else folder.images


def _count_folders(folder: Folder, inputs: Sequence[Path]) -> int:
    """How many folders of classes there are."""
    return len({name for _, name in _places(folder, inputs).values() if name})


def _in_folders(folder: Folder, inputs: list[Path], what: str) -> tuple[dict[str | None, Labelled], list[str]]:
    labelled: dict[str | None, Labelled] = {}
    for path, (part, name) in _places(folder, inputs).items():
        if name is None:
            folder.leave_out(path, 'lie in no class folder')
        else:
            labelled.setdefault(part, []).append((path, name))
    names = distinct(sorted({name for items in labelled.values() for _, name in items}))
    if len(names) < 2:
        raise UserError(
            f"The {what}s in '{folder.root}' are not in folders of at least two classes; put them into a folder for "
            f'each class, such as train/cat/1.jpg, or write lists of lines "path number".'
        )
    if len(labelled) > 1:
        for path, _ in labelled.pop(None, ()):
            folder.leave_out(path, 'lie in no folder named train, valid or test')
    return labelled, names


def _places(folder: Folder, inputs: Sequence[Path]) -> dict[Path, tuple[str | None, str | None]]:
    """The part and the class of each file. The class is the first folder below that of the part; if the parts' folders
    hold no folders, the one above."""
    inner = {path: path.relative_to(folder.root).parts[:-1] for path in inputs}
    at = {path: next((i for i, name in enumerate(names) if _part(name)), -1) for path, names in inner.items()}
    if any(at[path] < 0 and names for path, names in inner.items()) and all(
        names == names[: at[path] + 1] for path, names in inner.items() if at[path] == 0
    ):
        # Beside folders of other classes, one that is called train holds trains.
        at = {path: -1 if i == 0 else i for path, i in at.items()}
    parts = {path: _part(names[at[path]]) if at[path] >= 0 else None for path, names in inner.items()}
    below = {path: names[at[path] + 1 :] for path, names in inner.items()}
    above = {path: names[: max(at[path], 0)] for path, names in inner.items()}
    if not any(below.values()) and any(above.values()):
        return {path: (parts[path], names[-1] if names else None) for path, names in above.items()}
    while below and all(len(names) > 1 for names in below.values()) and len({n[0] for n in below.values()}) == 1:
        below = {path: names[1:] for path, names in below.items()}
    return {path: (parts[path], names[0] if names else None) for path, names in below.items()}


def _part(name: str) -> str | None:
    """The part that a folder is for: it is called so and nothing else, since a class may be called test tube."""
    words = set(''.join(c if c.isalpha() else ' ' for c in name.lower()).split()) - COMMON
    return next((part for part, known in WORDS.items() if words and words <= set(known)), None)


def _write(part: str, items: Labelled, numbers: Mapping[str, int], folder: Folder, out: Path, what: str) -> FoundPart:
    ann_file = out / f'{part}.txt'
    rows = [f'{path.relative_to(folder.root).as_posix()} {numbers[name]}\n' for path, name in items]
    ann_file.write_text(''.join(rows), encoding='utf-8')
    class_names_file(ann_file).write_text(''.join(f'{name}\n' for name in numbers), encoding='utf-8')
    for path, _ in items:
        folder.use(path, part)
    paths = [path for path, _ in items]
    return FoundPart(ann_file, folder.root, list(map(str, paths)), sides_of(paths) if what == 'image' else [])


def sides_of(images: Sequence[Path]) -> list[int]:
    """The longer sides of some of the images, without those that can't be read."""
    sides = []
    for path in images[:: max(1, len(images) // MANY)]:
        try:
            header = read_image_header(path)
        except BrokenFileError:
            continue
        sides.append(max(header.width, header.height))
    return sides
