"""Finds detection data in a folder by its layout: COCO's, YOLO's or Pascal VOC's files."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError, first_few, require_extra
from hiera_mm.readers.coco_files import CocoFile, read_annotations
from hiera_mm.readers.images import read_image_header
from hiera_mm.readers.text import read_text

import yaml

if TYPE_CHECKING:
    from supervision import DetectionDataset

MAX_DEPTH = 3
"""How many levels of folders are searched for annotation files."""

VALIDATION_SHARE = 0.2
"""Share of the images to validate on, for a set without a validation part."""

VALIDATION_WORDS = ('val', 'valid', 'validation', 'test')


class FoundSet(NamedTuple):
    """A training or validation set in COCO's format.

    Attributes:
        file: Its annotations, as read.
        ann_file: Path of the annotation file.
        images: The folder that its images' names are relative to.
    """

    file: CocoFile
    ann_file: Path
    images: Path


def find_coco(folder: Path) -> tuple[FoundSet, FoundSet]:
    """Find the training and validation set in a folder with COCO's JSON files; if there is only one file, a fifth of
    its images, chosen at random, is the validation set.

    Raises:
        UserError: if there is no annotation file, if the names don't tell training from validation, or if images are
            missing.
    """
    found = {path: file for path in sorted(_files_below(folder, '.json')) if (file := _read_if_coco(path)) is not None}
    if not found:
        raise UserError(
            f"'{folder}' holds no annotation file in COCO's format (a .json with images, annotations and categories), "
            f'{MAX_DEPTH} folders deep; name the folder that does.'
        )
    if len(found) == 1:
        ((path, file),) = found.items()
        return _split_at_random(path, file, _find_image_folder(folder, path, file))
    parts = {_part_named_in(path, folder): path for path in reversed(list(found))}
    if 'train' not in parts or 'val' not in parts:
        raise UserError(
            f"'{folder}' holds several annotation files ({first_few(list(found))}), and their names don't tell which "
            "is for training and which for validation; put 'train' and 'val' into the names."
        )
    train, val = (
        FoundSet(found[path], path, _find_image_folder(folder, path, found[path]))
        for path in (parts['train'], parts['val'])
    )
    return train, val


def find_yolo(folder: Path, out: Path) -> tuple[FoundSet, FoundSet]:
    """Convert the sets of a folder in YOLO's format (``data.yaml``) to COCO files in ``out``.

    Raises:
        UserError: if there is no such file, or if files that it names are missing or can't be read.
    """
    places = [path for path in (folder / 'data.yaml', *sorted(folder.glob('*.y*ml'))) if path.is_file()]
    if not places:
        raise UserError(f"'{folder}' has no data.yaml, which in YOLO's format names the classes and the folders.")
    try:
        names = yaml.safe_load(read_text(places[0], 'list of classes and folders'))
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"'{places[0]}' is not valid YAML: {str(error).splitlines()[0]}; correct it.") from error
    if not isinstance(names, dict) or 'names' not in names or 'train' not in names:
        raise UserError(f"'{places[0]}' is not a data.yaml in YOLO's format: it needs names, train and val.")
    sets = {}
    for part in ('train', 'val'):
        if names.get(part):
            images = _yolo_folder(places[0], names, part)
            labels = _find_label_folder(images)
            converted = _convert('from_yolo', images, labels, data_yaml_path=str(places[0]))
            sets[part] = _write_as_coco(converted, out / f'{part}.json', images)
    return _train_and_val(sets)


def find_voc(folder: Path, out: Path) -> tuple[FoundSet, FoundSet]:
    """Convert the sets of a folder in Pascal VOC's format to COCO files in ``out``: either the lists in
    ``ImageSets/Main``, or folders such as ``train`` and ``valid`` with images and XML files.

    Raises:
        UserError: if there are no XML files, or they can't be read.
    """
    annotations, images = folder / 'Annotations', folder / 'JPEGImages'
    if annotations.is_dir() and images.is_dir():
        whole = _write_as_coco(_convert('from_pascal_voc', images, annotations), out / 'all.json', images)
        lists = {part: folder / 'ImageSets' / 'Main' / f'{part}.txt' for part in ('train', 'val')}
        if all(path.is_file() for path in lists.values()):
            train, val = (_select_listed(whole, path, out / f'{part}.json') for part, path in lists.items())
            return train, val
        return _split_at_random(whole.ann_file, whole.file, images)
    sets = {}
    for inner in [path for path in sorted(folder.iterdir()) if path.is_dir()]:
        part = _part_named_in(inner, folder)
        if part and part not in sets and any(inner.glob('*.xml')):
            sets[part] = _write_as_coco(_convert('from_pascal_voc', inner, inner), out / f'{part}.json', inner)
    if not sets:
        raise UserError(
            f"'{folder}' is not in Pascal VOC's format: it holds neither Annotations and JPEGImages, nor folders such "
            'as train and valid with images and their XML files.'
        )
    return _train_and_val(sets)


def _files_below(folder: Path, ending: str) -> Iterator[Path]:
    if not folder.is_dir():
        raise UserError(f"The folder '{folder}' does not exist; correct the path.")
    for place, folders, files in os.walk(folder):
        if len(Path(place).relative_to(folder).parts) >= MAX_DEPTH:
            folders.clear()
        folders[:] = [name for name in folders if not name.startswith('.')]
        yield from (Path(place, name) for name in files if name.endswith(ending) and not name.startswith('.'))


def _read_if_coco(path: Path) -> CocoFile | None:
    """A file's content if it looks like COCO's format."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return None
    if not isinstance(content, dict) or not {'images', 'annotations', 'categories'} <= set(content):
        return None
    return read_annotations(path, str(path))


def _part_named_in(path: Path, folder: Path) -> str | None:
    """``'train'`` or ``'val'`` by the name of a file, or else of the folders around it."""
    for name in reversed(path.relative_to(folder).parts):
        words = ''.join(c if c.isalpha() else ' ' for c in name.lower()).split()
        if 'train' in words or 'training' in words:
            return 'train'
        if set(words) & set(VALIDATION_WORDS):
            return 'val'
    return None


def _find_image_folder(folder: Path, path: Path, file: CocoFile) -> Path:
    """The folder that holds all images of an annotation file: preferably of the same part, since parts may use the same
    names, and then the nearest."""
    near = [path.parent, folder, path.parent / path.stem, path.parent / 'images', path.parent.parent / 'images']
    others = sorted(Path(place) for place, _, _ in os.walk(folder))
    names = [image['file_name'] for image in file.images]
    fitting = [
        place
        for place in dict.fromkeys([*near, *others])
        if all((place / name).is_file() for name in names[:20]) and all((place / name).is_file() for name in names)
    ]
    part = _part_named_in(path, folder)
    own = [place for place in fitting if _part_named_in(place, folder) == part]
    if fitting:
        return (own or fitting)[0]
    raise UserError(
        f"No folder in '{folder}' holds all images that '{path}' names ({first_few(names)}); put all of them into one "
        'folder, or correct file_name.'
    )


def _split_at_random(path: Path, file: CocoFile, images: Path) -> tuple[FoundSet, FoundSet]:
    if len(file.images) < 2:
        raise UserError(f"'{path}' has {len(file.images)} images; at least two are needed, to train and to validate.")
    order = sorted(image['id'] for image in file.images)
    random.Random(0).shuffle(order)
    apart = set(order[: max(1, round(VALIDATION_SHARE * len(order)))])
    return (
        _write_part(file, images, path.with_name(f'{path.stem}_train.json'), set(order) - apart),
        _write_part(file, images, path.with_name(f'{path.stem}_val.json'), apart),
    )


def _select_listed(whole: FoundSet, names: Path, path: Path) -> FoundSet:
    stems = {line.split()[0] for line in read_text(names, 'list of images').splitlines() if line.strip()}
    chosen = {image['id'] for image in whole.file.images if Path(image['file_name']).stem in stems}
    return _write_part(whole.file, whole.images, path, chosen)


def _write_part(file: CocoFile, images: Path, path: Path, chosen: set) -> FoundSet:
    content = dict(
        images=[image for image in file.images if image['id'] in chosen],
        annotations=[annotation for annotation in file.annotations if annotation['image_id'] in chosen],
        categories=file.categories,
    )
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(content), encoding='utf-8')
    return FoundSet(read_annotations(path, str(path)), path, images)


def _yolo_folder(path: Path, content: dict, part: str) -> Path:
    """The folder of images that ``data.yaml`` names; Roboflow writes ``../`` even if the folder is beside the file."""
    given = str(content[part][0] if isinstance(content[part], list) else content[part])
    root = str(content.get('path') or '')
    bases = [Path(root), path.parent / root, path.parent]
    tried = [base / name for base in bases for name in (given, given.removeprefix('../'))]
    for place in tried:
        if place.is_dir():
            return place / 'images' if (place / 'images').is_dir() else place
    raise UserError(f"'{path}' names the folder '{given}' as {part}, which is not at {tried[-1]}; correct the path.")


def _find_label_folder(images: Path) -> Path:
    parts = list(images.parts)
    if 'images' in parts:
        parts[len(parts) - 1 - parts[::-1].index('images')] = 'labels'
    labels = Path(*parts)
    if not labels.is_dir():
        raise UserError(f"The folder '{labels}' with the label files of '{images}' does not exist; put them there.")
    return labels


def _convert(reader: str, images: Path, annotations: Path, **settings: str) -> DetectionDataset:
    require_extra('supervision', 'data')
    from supervision import DetectionDataset

    try:
        return getattr(DetectionDataset, reader)(
            images_directory_path=str(images), annotations_directory_path=str(annotations), **settings
        )
    except Exception as error:  # The converter can raise anything for malformed files.
        raise UserError(
            f"The annotations in '{annotations}' can't be read: {type(error).__name__}: {error}."
        ) from error


def _write_as_coco(converted: DetectionDataset, path: Path, images: Path) -> FoundSet:
    if not converted.image_paths:
        raise UserError(f"'{images}' holds no images; correct the path.")
    turned = [p for p in converted.image_paths if read_image_header(p).orientation != 1]
    if turned:
        raise UserError(
            f'{len(turned)} images, such as {first_few([Path(p).name for p in turned])}, are rotated by their EXIF '
            "data, and these files don't say whether the boxes refer to the rotated image; rotate the pixels (mogrify "
            '-auto-orient) if the images were annotated as displayed, or remove the EXIF data (exiftool -Orientation= '
            '-n) if not.'
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished:
        converted.as_coco(annotations_path=str(unfinished))
        content = json.loads(unfinished.read_text(encoding='utf-8'))
        for annotation in content['annotations']:
            # supervision marks masks with several parts as crowds, which would not be learned.
            annotation['iscrowd'] = 0
        unfinished.write_text(json.dumps(content), encoding='utf-8')
    return FoundSet(read_annotations(path, str(path)), path, images)


def _train_and_val(sets: dict[str, FoundSet]) -> tuple[FoundSet, FoundSet]:
    if 'train' in sets and 'val' in sets:
        return sets['train'], sets['val']
    only = next(iter(sets.values()))
    return _split_at_random(only.ann_file, only.file, only.images)
