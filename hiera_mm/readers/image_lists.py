"""The entries of a set of labelled images: from class folders, a list, or iNaturalist's JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hiera_mm.errors import UserError, examples
from hiera_mm.readers.channels import ChannelReader
from hiera_mm.readers.images import ENDINGS as IMAGE_ENDINGS
from hiera_mm.readers.labelled_lists import read_labelled_list
from hiera_mm.readers.text import files_below, folders_in, read_text


class LabelledImages(NamedTuple):
    """Paths with their class numbers (None without labels), and class names if the source has them."""

    entries: Sequence[tuple[str, int | None]]
    classes: tuple[str, ...] | None


def read_images(
    folder: str | Path,
    ann_file: str | Path = '',
    with_label: bool = True,
    channel_files: Sequence[str] | None = None,
) -> LabelledImages:
    """Read the images in a folder, or those that a file lists.

    Args:
        folder: Folder of the images.
        ann_file: If empty, the folders in ``folder`` are the classes, numbered in alphabetical order. ``*.json``:
            iNaturalist's files (COCO's keys; classes numbered in the order of their ids). Any other file: lines
            ``path label``.
        with_label: False takes every image below ``folder``, or in the file, without labels.
        channel_files: If an image has several files, as in :class:`hiera_mm.readers.channels.ChannelReader`: images in
            folders are found by the first file of each.

    Raises:
        UserError: for a missing folder or file, one in another format, or one without images.
    """
    folder = _existing(folder)
    if str(ann_file).endswith('.json'):
        found = _from_json(folder, Path(ann_file), with_label)
    elif ann_file:
        entries = read_labelled_list(ann_file, 'image', remedy='write one with lines of path and class number')
        # Places365's paths start with a slash but are relative to the folder.
        found = LabelledImages([(str(folder / name.lstrip('/')), label) for name, label in entries], None)
    else:
        found = _from_classes(folder) if with_label else _from_everywhere(folder)
        if channel_files:
            reader = ChannelReader(len(channel_files), channel_files)
            reader.check_all_fit([path for path, _ in found.entries])
            found = found._replace(entries=[entry for entry in found.entries if reader.is_first(entry[0])])
    if not found.entries:
        raise UserError(f"'{ann_file or folder}' holds no images ({', '.join(IMAGE_ENDINGS)}); correct the path.")
    return found if with_label else LabelledImages([(path, None) for path, _ in found.entries], None)


def class_folders(folder: str | Path) -> tuple[str, ...]:
    """Names of the classes in a folder with one folder for each class, in alphabetical order.

    Raises:
        UserError: if the folder does not exist or holds no folders.
    """
    classes = tuple(folders_in(_existing(folder)))
    if not classes:
        raise UserError(
            f"The image folder '{folder}' holds no folders; put the images into one folder for each class, or name a "
            'list with ann_file.'
        )
    return classes


def _existing(folder: str | Path) -> Path:
    if not Path(folder).is_dir():
        raise UserError(f"The image folder '{folder}' does not exist; put the images there or correct data_prefix.")
    return Path(folder)


def _from_classes(folder: Path) -> LabelledImages:
    classes = class_folders(folder)
    entries = [
        (path, label) for label, name in enumerate(classes) for path, _ in _from_everywhere(folder / name).entries
    ]
    return LabelledImages(entries, classes)


def _from_everywhere(folder: Path) -> LabelledImages:
    paths = sorted(map(str, files_below(folder, IMAGE_ENDINGS)))
    return LabelledImages([(path, None) for path in paths], None)


def _from_json(folder: Path, path: Path, with_label: bool) -> LabelledImages:
    if not path.is_file():
        raise UserError(f"The annotation file '{path}' does not exist; put it there or correct ann_file.")
    try:
        content = json.loads(read_text(path, 'annotation file'))
        names = {image['id']: str(folder / image['file_name']) for image in content['images']}
        if not with_label:
            return LabelledImages([(name, None) for name in names.values()], None)
        categories = {category['id']: str(category['name']) for category in content['categories']}
        number = {category: label for label, category in enumerate(sorted(categories))}
        labels = {entry['image_id']: number[entry['category_id']] for entry in content['annotations']}
        unlabelled = [name for key, name in names.items() if key not in labels]
        entries = [(name, labels.get(key)) for key, name in names.items()]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"The annotation file '{path}' does not list images in JSON: {error}.") from error
    except KeyError as error:
        raise UserError(
            f"The annotation file '{path}' is not in iNaturalist's format: it lacks {error}, which its images, "
            'annotations or categories need.'
        ) from error
    if unlabelled:
        raise UserError(
            f"The annotation file '{path}' gives no class for {examples(unlabelled)}; annotate them or take them out."
        )
    return LabelledImages(entries, tuple(categories[key] for key in sorted(categories)))
