"""Finds the parts of a set in COCO's panoptic format: annotation files, images, and maps of segments."""

from __future__ import annotations

import json
import os
from pathlib import Path

from hiera_mm.errors import UserError, examples
from hiera_mm.readers.found_sets.coco import PANOPTIC, image_folder, parsed, parts_of, reason_against
from hiera_mm.readers.found_sets.folder import Folder, part_named_in
from hiera_mm.readers.found_sets.found import FoundPart, FoundSets, account_of, shared_inputs, with_validation
from hiera_mm.readers.found_sets.map_folders import holds_segments
from hiera_mm.readers.images import image_size
from hiera_mm.readers.panoptic_files import PanopticFile, read_panoptic


def find_panoptic(folder: Folder, out: Path) -> FoundSets:
    """Find annotated images; a validation part that is put apart is written to ``out``.

    Raises:
        UserError: for files that can't be read, whose part can't be told, or that don't say which classes are things,
            and for missing images and maps.
    """
    files = _annotation_files(folder)
    read = {part: files[path] for part, path in parts_of(folder, files).items()}
    maps = {part: _map_folder(folder, file) for part, file in read.items()}
    images = {part: image_folder(folder, file.path, file, without=maps.values()) for part, file in read.items()}
    split = with_validation({part: file.images for part, file in read.items()}, folder)
    for part, file in read.items():
        folder.use(file.path, part or 'all')
        for place, entries in ((images[part], file.images), (maps[part], file.annotations)):
            for entry in entries:
                folder.use(place / entry['file_name'], part or 'all')
        for sentence in file.repairs:
            folder.say(sentence)
    parts = {}
    for part, chosen in split.items():
        source = part if part in read else 'train' if 'train' in read else None
        file = read[source]
        if len(chosen) < len(file.images):
            file = _write_selection(file, chosen, out / f'{part}.json')
        parts[part] = _found(file, images[source], maps[source])
    things, stuff = _things_and_stuff(read['train' if 'train' in read else None])
    return FoundSets(
        'images with things and stuff',
        folder.root,
        parts,
        settings=dict(thing_classes=things, stuff_classes=stuff),
        account=account_of(parts, folder),
        notes=folder.notes + shared_inputs(parts),
    )


def _annotation_files(folder: Folder) -> dict[Path, PanopticFile]:
    files: dict[Path, PanopticFile] = {}
    for path in [folder.given] if folder.given.is_file() else folder.with_ending('.json'):
        reason = reason_against(parsed(path))
        if reason == PANOPTIC:
            files[path] = read_panoptic(path, 'this set')
        else:
            folder.leave_out(path, reason or 'hold instances')
    if not files:
        raise UserError(
            f"'{folder.given}' holds no panoptic annotations (a .json with segments_info, and a PNG of segments for "
            'each image); name the folder that does.'
        )
    return files


def _map_folder(folder: Folder, file: PanopticFile) -> Path:
    """The nearest folder that holds all maps of an annotation file; images may have the same names."""
    near = [file.path.with_suffix(''), file.path.parent, folder.root]
    others = sorted(
        {parent for image in folder.images for parent in image.parents if parent.is_relative_to(folder.root)}
    )
    names = [annotation['file_name'] for annotation in file.annotations]
    places = [place for place in dict.fromkeys([*near, *others]) if place.is_dir()]
    held = [place for place in places if holds_segments(place, file.annotations)]
    # Parts may use the same names.
    part = part_named_in(file.path, folder.root)
    held.sort(key=lambda place: part_named_in(place / 'x', folder.root) != part)
    for place in held:
        if all(place / name in folder for name in names):
            return place
    if not held and any(all(place / name in folder for name in names) for place in places):
        raise UserError(
            f"No folder in '{folder.root}' holds maps with the segments that '{file.path}' lists, though files of "
            'their names are there; give the maps that were exported with this file.'
        )
    best = max(held or places, key=lambda place: sum((place / name).is_file() for name in names[:200]))
    missing = [name for name in names if not (best / name).is_file()]
    raise UserError(
        f"No folder in '{folder.root}' holds all segment maps that '{file.path}' names: in '{best}' "
        f'{examples(missing)} of {len(names)} are missing; put all of them into one folder.'
    )


def _things_and_stuff(file: PanopticFile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if unknown := [category['name'] for category in file.categories if category['isthing'] is None]:
        raise UserError(
            f"The annotation file '{file.path}' doesn't say whether {examples(unknown)} of the categories are things; "
            'write isthing, 1 for what is counted and 0 for the rest.'
        )
    things, stuff = (
        tuple(category['name'] for category in file.categories if category['isthing'] == kind) for kind in (1, 0)
    )
    return things, stuff


def _write_selection(file: PanopticFile, images: list[dict], path: Path) -> PanopticFile:
    chosen = {image['id'] for image in images}
    annotations = [annotation for annotation in file.annotations if annotation['image_id'] in chosen]
    content = dict(images=images, annotations=annotations, categories=file.categories)
    path.write_text(json.dumps(content), encoding='utf-8')
    return PanopticFile(path, images, annotations, file.categories)


def _found(file: PanopticFile, images: Path, maps: Path) -> FoundPart:
    names = [os.path.join(images, image['file_name']) for image in file.images]
    sides = [
        max(image['width'], image['height']) if 'width' in image else max(image_size(name, False))
        for image, name in zip(file.images, names, strict=True)
    ]
    segments = sum(len(annotation['segments_info']) for annotation in file.annotations)
    return FoundPart(file.path, images, names, sides, segments, beside=dict(seg=maps))
