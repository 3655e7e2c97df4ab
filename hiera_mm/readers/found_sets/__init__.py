"""Finds what lies in a folder: images, videos or volumes with annotations of any task, accounting for every file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

from hiera_mm.errors import UserError
from hiera_mm.readers.found_sets import objects
from hiera_mm.readers.found_sets.actions import find_actions, has_actions
from hiera_mm.readers.found_sets.bands import refuse_bands
from hiera_mm.readers.found_sets.class_folders import find_class_folders, has_class_folders
from hiera_mm.readers.found_sets.folder import MARK, Folder
from hiera_mm.readers.found_sets.found import FoundPart as FoundPart
from hiera_mm.readers.found_sets.found import FoundSets as FoundSets
from hiera_mm.readers.found_sets.index_masks import find_masks, has_masks
from hiera_mm.readers.found_sets.panoptic import find_panoptic
from hiera_mm.readers.found_sets.unlabelled import find_unlabelled
from hiera_mm.readers.found_sets.volume_lists import find_volumes, has_volumes
from hiera_mm.readers.videos import VIDEO_ENDINGS


class Layout(NamedTuple):
    """A way in which annotations lie in a folder.

    Attributes:
        name: What it is, for a person.
        help: What a folder in it holds.
        signs: Whether a folder looks like it.
        find: Finds its parts, from the folder and the one to write to.
    """

    name: str
    help: str
    signs: Callable[[Folder], bool]
    find: Callable[..., FoundSets]


LAYOUTS: dict[str, Layout] = {
    'coco': Layout(
        "COCO's layout",
        "COCO's annotation files (.json) and images",
        objects.is_coco,
        partial(objects.find_objects, layout='coco'),
    ),
    'panoptic': Layout(
        "COCO's panoptic layout",
        "COCO's panoptic annotation files (.json), images and maps of segments",
        objects.is_panoptic,
        find_panoptic,
    ),
    'yolo': Layout(
        "YOLO's layout",
        "YOLO's data.yaml, obj.data or classes.txt",
        objects.is_yolo,
        partial(objects.find_objects, layout='yolo'),
    ),
    'voc': Layout(
        "Pascal VOC's layout",
        "Pascal VOC's XML files and images",
        objects.is_voc,
        partial(objects.find_objects, layout='voc'),
    ),
    'labelme': Layout(
        "LabelMe's layout",
        "LabelMe's JSON files and images",
        objects.is_labelme,
        partial(objects.find_objects, layout='labelme'),
    ),
    'masks': Layout('images with masks', 'images and a mask of classes for each', has_masks, find_masks),
    'class-folders': Layout(
        'class folders',
        'a folder of images or videos for each class, or lists or tables',
        has_class_folders,
        find_class_folders,
    ),
    'ava': Layout("AVA's layout", "AVA's .csv files and videos or frames", has_actions, find_actions),
    'volumes': Layout('volumes', 'NIfTI volumes and their labels', has_volumes, find_volumes),
    'unlabelled': Layout(
        'no labels', 'images or videos without labels, for masked autoencoding', lambda folder: False, find_unlabelled
    ),
}
"""The layouts by their option's name."""

BY_IMAGES = ('yolo', 'masks', 'class-folders', 'unlabelled')
"""Those whose images are the files there are, and not those that an annotation names."""


def layout_of(path: Path) -> str:
    """The layout of the files in a folder.

    Raises:
        UserError: if it is none of ``LAYOUTS``, or several at once.
    """
    folder = Folder(path)
    found = [name for name, layout in LAYOUTS.items() if name != 'class-folders' and layout.signs(folder)]
    if objects.has_segment_maps(folder):
        found = [name for name in found if name != 'masks']
    if not found and LAYOUTS['class-folders'].signs(folder):
        # Annotated images often lie in several folders too.
        found = ['class-folders']
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(
            f"'{path}' holds files in the layouts of {' and '.join(found)}; say which to read: "
            f'{" or ".join(f"--{name} {path}" for name in found)}.'
        )
    if folder.images or folder.with_ending(*VIDEO_ENDINGS):
        raise UserError(
            f"'{path}' holds images or videos, but no annotations that init can read: neither COCO's .json files, nor "
            "YOLO's data.yaml, obj.data or classes.txt, nor Pascal VOC's or LabelMe's files, nor masks of the same "
            "names, folders of at least two classes, lists, tables, or AVA's .csv files; annotate the set, or train on "
            f'it without labels: --unlabelled {path}.'
        )
    raise UserError(f"'{path}' holds no images, videos or volumes that init can read; name the folder that does.")


def find_sets(path: Path, layout: str, out: Path, shape: str | None = None) -> FoundSets:
    """Find the training, validation and test set in a folder.

    Args:
        path: The folder; or the annotation file, ``data.yaml`` or ``classes.txt`` in it that describes the set.
        layout: A name in ``LAYOUTS``.
        out: The folder for files that have to be written, which must not exist yet.
        shape: ``'boxes'`` or ``'polygons'`` of objects; by default polygons, if all objects have them.

    Raises:
        UserError: for files that can't be read, or whose part can't be told; nothing is written then.
    """
    folder = Folder(path)
    if shape is not None and layout not in ('coco', *objects.CONVERTED):
        raise UserError(f'--{shape} is for objects, but {LAYOUTS[layout].name} has none; leave it out.')
    if layout in BY_IMAGES:
        refuse_bands(folder)
    with _new_folder(out):
        return LAYOUTS[layout].find(folder, out, **({} if shape is None else dict(shape=shape)))


@contextmanager
def _new_folder(path: Path) -> Iterator[None]:
    """A folder that is removed if what is written to it fails, or if nothing is."""
    if path.exists():
        raise UserError(
            f"The folder '{path}' for the converted annotations already exists, and another config may use it; remove "
            'it, or name another config with --out.'
        )
    path.mkdir(parents=True)
    try:
        yield
    except BaseException:
        rmtree(path)
        raise
    if any(path.iterdir()):
        (path / MARK).touch()
    else:
        path.rmdir()
