"""Finds the parts of a set in COCO's format: annotation files, and the folders of their images."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from hiera_mm.errors import UserError, examples, first_few
from hiera_mm.readers.coco_files import CocoFile, read_annotations
from hiera_mm.readers.found_sets.folder import PARTS, USES, Folder, part_named_in
from hiera_mm.readers.found_sets.found import FoundPart, with_validation
from hiera_mm.readers.found_sets.labelme import is_labelme
from hiera_mm.readers.found_sets.map_folders import map_folders
from hiera_mm.readers.images import image_size

PANOPTIC = 'hold panoptic annotations'

UNTRAINED = 'of the classes have objects only outside the training part; they are left out.'

DUMMY = (
    'of the classes have no object in any part; Roboflow writes such a class 0 for the set as a whole: remove it from '
    'classes in the config to leave it out.'
)


def find_coco_parts(folder: Folder, out: Path) -> tuple[dict[str, FoundPart], list[str]]:
    """The parts of a set, and its classes in the order of the training file; a validation part that is put apart is
    written to ``out``.

    Raises:
        UserError: if there is no annotation file, if one can't be read, if the names don't tell the parts, or if images
            are missing.
    """
    files = _annotation_files(folder)
    read = {part: files[path] for part, path in parts_of(folder, files).items()}
    maps = map_folders(folder)
    places = {part: image_folder(folder, file.path, file, without=maps) for part, file in read.items()}
    split = with_validation({part: file.images for part, file in read.items()}, folder)
    names = [category['name'] for category in read['train' if 'train' in read else None].categories]
    for part, file in read.items():
        for image in file.images:
            folder.use(places[part] / image['file_name'], part or 'all')
        folder.use(file.path, part or 'all')
    _note_unused_classes(folder, read, names)
    for sentence in (sentence for file in read.values() for sentence in file.repairs + file.doubts):
        folder.say(sentence)
    found = {}
    for part, images in split.items():
        source = part if part in read else 'train' if 'train' in read else None
        file = read[source]
        path = file.path
        if len(images) < len(file.images):
            path = out / f'{part}.json'
            file = _write_selection(file, images, path)
        found[part] = _found(file, path, places[source])
    return found, names


def _annotation_files(folder: Folder) -> dict[Path, CocoFile]:
    """The files in COCO's format; why others are not is noted."""
    files: dict[Path, CocoFile] = {}
    panoptic: list[Path] = []
    for path in [folder.given] if folder.given.is_file() else folder.with_ending('.json'):
        if os.path.realpath(path) in map(os.path.realpath, files):
            folder.leave_out(path, 'are links to another file')
            continue
        content = parsed(path)
        reason = reason_against(content)
        if reason:
            folder.leave_out(path, reason)
            panoptic += [path] if reason == PANOPTIC else []
            continue
        files[path] = read_annotations(path, 'this set')
        if not files[path].images:
            folder.leave_out(path, 'list no images')
            del files[path]
    if not files and panoptic:
        raise UserError(
            f"'{folder.root}' holds no instances, but panoptic annotations ({first_few(panoptic)}); read them: "
            f'--panoptic {folder.given}.'
        )
    if not files:
        raise UserError(
            f"'{folder.root}' holds no annotation file in COCO's format (a .json with images, annotations and "
            'categories); name the folder that does.'
        )
    return files


def parsed(path: Path) -> object:
    """The content of a JSON file.

    Raises:
        UserError: if it is none.
    """
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError, MemoryError) as error:
        raise UserError(
            f"The file '{path}' is not valid JSON ({error}), so it can't be told whether it holds annotations; export "
            'it again, or remove it if it is no part of the set.'
        ) from error


def reason_against(content: object) -> str | None:
    """Why the content of a JSON file is not an annotation file in COCO's format; None if it is."""
    if is_labelme(content):
        return "are LabelMe's (--labelme reads them)"
    if not isinstance(content, dict) or not {'images', 'categories'} <= set(content):
        return "are not in COCO's format"
    if not content.get('annotations') and 'annotations' not in content:
        return 'list images without annotations'
    annotations = content['annotations'] if isinstance(content['annotations'], list) else []
    if any(isinstance(a, dict) and 'segments_info' in a for a in annotations[:1]):
        return PANOPTIC
    if any(isinstance(a, dict) and 'caption' in a and 'bbox' not in a for a in annotations[:1]):
        return 'hold captions'
    return None


def parts_of(folder: Folder, files: Collection[Path]) -> dict[str | None, Path]:
    """The file of each part; under None the only file where its name tells none.

    Raises:
        UserError: if the names don't tell the parts.
    """
    named: dict[str | None, list[Path]] = {}
    for path in files:
        named.setdefault(part_named_in(path, folder.root), []).append(path)
    for part, paths in named.items():
        if len(paths) > 1:
            named[part] = _without_keypoints(folder, paths)
    if set(named) == {None} and len(named[None]) == 1:
        return {None: named[None][0]}
    several = next((part for part in PARTS if len(named.get(part, ())) > 1), None)
    if several:
        raise UserError(
            f"'{folder.root}' holds {len(named[several])} annotation files that could be for {USES[several]} "
            f'({first_few(named[several])}); merge them into one, or leave one of them in the folder.'
        )
    if None in named:
        raise UserError(
            f"'{folder.root}' holds several annotation files ({first_few(list(files))}), and their names don't tell "
            "which is for training, validation and test; put 'train', 'val' or 'test' into the names, or name the one "
            'to use instead of the folder.'
        )
    return {part: paths[0] for part, paths in named.items()}


def _without_keypoints(folder: Folder, paths: list[Path]) -> list[Path]:
    """COCO's own files of keypoints annotate the images of its files of instances a second time."""
    plain = [path for path in paths if 'keypoint' not in path.name.lower()]
    for path in paths:
        if plain and path not in plain:
            folder.leave_out(path, 'hold keypoints')
    return plain or paths


class ListsImages(Protocol):
    """An annotation file."""

    @property
    def images(self) -> Sequence[dict]: ...


def image_folder(folder: Folder, path: Path, file: ListsImages, without: Collection[Path] = ()) -> Path:
    """The folder that holds all images of an annotation file: preferably of the same part, since parts may use the same
    names, and then the nearest.

    Args:
        folder: The user's folder.
        path: The file.
        file: Its content.
        without: Folders that hold something else by the same names.

    Raises:
        UserError: if no folder holds all images.
    """
    root = folder.root
    near = [path.parent, root, path.parent / path.stem, path.parent / 'images', path.parent.parent / 'images']
    others = sorted({parent for image in folder.images for parent in image.parents if parent.is_relative_to(root)})
    names = [image['file_name'] for image in file.images]
    if all(os.path.isabs(name) for name in names):
        near, others = [path.parent], []
    places = [place for place in dict.fromkeys([*near, *others]) if place.is_dir() and place not in without]
    fitting = [place for place in places if all((place / name).is_file() for name in names[:20])]
    fitting = [place for place in fitting if all(place / name in folder for name in names)]
    part = part_named_in(path, root)
    own = [place for place in fitting if part_named_in(place, root) == part]
    if not own:
        # The images of another part may have the same names.
        own = [place for place in fitting if part is None or part_named_in(place, root) is None]
    if own:
        also = {os.path.realpath(place) for place in own} - {os.path.realpath(own[0])}
        if also:
            folder.say(
                f"Images of all names in '{path}' are in '{own[0]}', which is used, and in {examples(sorted(also))}."
            )
        return own[0]
    best = max(places, key=lambda place: sum((place / name).is_file() for name in names[:200]))
    missing = [name for name in names if not (best / name).is_file()]
    raise UserError(
        f"No folder in '{root}' holds all images that '{path}' names: in '{best}' {examples(missing)} of {len(names)} "
        'are missing; put all of them into one folder, or correct file_name.'
    )


def _note_unused_classes(folder: Folder, read: Mapping[str | None, CocoFile], names: list[str]) -> None:
    used = set()
    for file in read.values():
        by_id = {category['id']: category['name'] for category in file.categories}
        used |= {by_id[annotation['category_id']] for annotation in file.annotations}
    for name in names:
        if name not in used:
            folder.note(DUMMY, f"'{name}'")
    for name in sorted(used - set(names)):
        folder.note(UNTRAINED, f"'{name}'")


def _write_selection(file: CocoFile, images: list[dict], path: Path) -> CocoFile:
    chosen = {image['id'] for image in images}
    annotations = [annotation for annotation in file.annotations if annotation['image_id'] in chosen]
    content = dict(images=images, annotations=annotations, categories=file.categories)
    path.write_text(json.dumps(content), encoding='utf-8')
    return CocoFile(path, images, annotations, file.categories)


def _found(file: CocoFile, path: Path, images: Path) -> FoundPart:
    objects = [annotation for annotation in file.annotations if not annotation['iscrowd']]
    sides = [
        max(image['width'], image['height'])
        if 'width' in image
        else max(image_size(os.path.join(images, image['file_name']), False))
        for image in file.images
    ]
    masks = bool(objects) and all('segmentation' in annotation for annotation in objects)
    names = [str(images / image['file_name']) for image in file.images]
    return FoundPart(path, images, names, sides, len(objects), masks)
