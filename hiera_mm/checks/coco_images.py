"""Checks the images that a COCO file names, by reading their headers in parallel."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from hiera_mm.checks.fault import DataPart, Fault, Severity, sample
from hiera_mm.checks.many_files import first_faults, open_in_parallel
from hiera_mm.datasets.load_image import LoadImageFromFile
from hiera_mm.errors import BrokenFileError, UserError, examples
from hiera_mm.readers.images import ImageHeader, read_image_header

from mmengine.config import ConfigDict

MAX_BEFORE_TRAINING = 20000
"""Before training, all images of a set up to this size are opened, and SAMPLE_SIZE of a larger one; each image is
compared again when it is loaded."""

SAMPLE_SIZE = 2000
DEEP_SAMPLE_SIZE = 20
CHUNK_SIZE = 256


class ListedImages(Protocol):
    """What the check needs of an annotation file; :class:`hiera_mm.readers.coco_files.CocoFile` documents it."""

    @property
    def path(self) -> Path: ...
    @property
    def images(self) -> list[dict]: ...
    @property
    def fit_turned(self) -> set: ...


def faults_of_images(part: DataPart, file: ListedImages, folder: Path) -> Iterator[Fault]:
    """Missing and damaged images, images whose size differs from the file's, and images whose EXIF orientation or bit
    depth is ambiguous."""
    names = [image['file_name'] for image in file.images]
    missing = missing_files(folder, names)
    if missing:
        yield Fault(
            Severity.BLOCKS,
            f"{part.key}: {examples(missing)} of the images named in '{file.path}' are not in '{folder}'; put them "
            'there, correct data_prefix, or take them out of the file.',
        )
    not_there = set(missing)
    images = [image for image in file.images if image['file_name'] not in not_there]
    if part.before_training and len(images) > MAX_BEFORE_TRAINING:
        images = sample(images, SAMPLE_SIZE)
    words = None if part.before_training else 'Opening images'
    opened = open_in_parallel(_open, [str(folder / image['file_name']) for image in images], CHUNK_SIZE, words)
    broken = [found for found in opened if isinstance(found, str)]
    yield from first_faults(part, broken, "images can't be read")
    pairs = [(image, found) for image, found in zip(images, opened, strict=True) if isinstance(found, ImageHeader)]
    yield from _faults_of_sizes(part, file, pairs)
    yield from _faults_of_orientation(part, file, pairs)
    yield from _faults_of_depth(part, folder, [image['file_name'] for image, found in pairs if found.deep])


def missing_files(folder: Path, names: Sequence[str]) -> list[str]:
    """The names that are not in the folder. Listing each folder once is faster than checking each file."""
    listed: dict[Path, set[str]] = {}
    missing = []
    for name in names:
        path = folder / name
        if path.parent not in listed:
            listed[path.parent] = set(os.listdir(path.parent)) if path.parent.is_dir() else set()
        # Names such as a/../b.jpg, and file systems that ignore case.
        if path.name not in listed[path.parent] and not path.is_file():
            missing.append(name)
    return missing


def _open(path: str) -> ImageHeader | str:
    """An image's header, or what is wrong with the image."""
    try:
        return read_image_header(path)
    except BrokenFileError as error:
        return str(error)


def _faults_of_sizes(part: DataPart, file: ListedImages, pairs: list[tuple[dict, ImageHeader]]) -> Iterator[Fault]:
    convention = part.dataset.get('exif_orientation')
    wrong = []
    for image, header in pairs:
        sizes = dict(displayed=header.displayed, stored=(header.width, header.height))
        allowed = [sizes[convention]] if convention else sizes.values()
        if 'width' in image and (image['width'], image['height']) not in allowed:
            width, height = sizes[convention or 'displayed']
            wrong.append(f"'{image['file_name']}' is {width} x {height}, not {image['width']} x {image['height']}")
    if wrong:
        yield Fault(
            Severity.BLOCKS,
            f"{part.key}: {examples(wrong)} of the images have another width and height than '{file.path}' says; "
            'correct both there (and check that the boxes fit), or use the images that were annotated.',
        )


def _faults_of_orientation(
    part: DataPart, file: ListedImages, pairs: list[tuple[dict, ImageHeader]]
) -> Iterator[Fault]:
    """Only an image's size can tell whether boxes refer to the image before or after its EXIF rotation."""
    turned = [
        f"'{image['file_name']}'"
        for image, header in pairs
        if header.orientation >= 5 and image['id'] in file.fit_turned
    ]
    if turned:
        yield Fault(
            Severity.BLOCKS,
            f"{part.key}: {examples(turned)} of the images are rotated by their EXIF data, and '{file.path}' gives "
            'their width and height before the rotation and their boxes after it, or the other way round; exchange '
            'width and height of these images there.',
        )
    if part.dataset.get('exif_orientation'):
        return
    displayed = stored = 0
    unclear = []
    for image, header in pairs:
        if header.orientation == 1:
            continue
        if 'width' not in image or header.displayed == (header.width, header.height):
            unclear.append(f"'{image['file_name']}'")
        elif (image['width'], image['height']) == header.displayed:
            displayed += 1
        else:
            stored += 1
    if unclear and (stored or not displayed):
        yield Fault(
            Severity.BLOCKS,
            f'{part.key}: {examples(unclear)} of the images are rotated or mirrored by their EXIF data, and their size '
            "does not tell which form the annotations refer to; set exif_orientation='displayed' (as viewers and most "
            "annotation tools show them) or 'stored' (as arrays without EXIF) in the data set.",
        )


def _faults_of_depth(part: DataPart, folder: Path, deep: list[str]) -> Iterator[Fault]:
    """Faults of images with more than 8 bits, whose range only the pixels show."""
    step = next(iter(part.dataset.get('pipeline', ())), ConfigDict())
    if step.get('type') != 'LoadImageFromFile':
        return
    load = LoadImageFromFile(**{name: value for name, value in step.items() if name != 'type'})
    for name in sample(deep, DEEP_SAMPLE_SIZE):
        try:
            load.transform(dict(img_path=str(folder / name)))
        except UserError as error:
            yield Fault(Severity.BLOCKS, f'{part.key}: {error}')
            return
