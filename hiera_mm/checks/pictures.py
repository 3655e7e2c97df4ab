"""What is wrong with the pictures that a COCO file names: read by their headers, several at once."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from hiera_mm.checks.fault import DataPart, Fault, Severity, sample
from hiera_mm.checks.opening import first_faults, opened_at_once
from hiera_mm.datasets.load_image import LoadImageFromFile
from hiera_mm.errors import BrokenFileError, UserError, examples
from hiera_mm.readers.coco_files import CocoFile
from hiera_mm.readers.pictures import Picture, read_picture

from mmengine.config import ConfigDict

BEFORE_TRAINING = 20000
"""Of more pictures than that only a sample of 2000 is opened before training; each is compared again when loaded."""

SAMPLE = 2000
DEEP_SAMPLE = 20
AT_ONCE = 256


def faults_of_pictures(part: DataPart, file: CocoFile, folder: Path) -> Iterator[Fault]:
    """Missing and damaged pictures, those of another size than the file says, and those whose EXIF orientation or depth
    is not clear."""
    names = [image['file_name'] for image in file.images]
    missing = _missing(folder, names)
    if missing:
        yield Fault(
            Severity.BLOCKS,
            f"{part.key}: {examples(missing)} of the images named in '{file.path}' are not in '{folder}'; put them "
            'there, correct data_prefix, or take them out of the file.',
        )
    absent = set(missing)
    images = [image for image in file.images if image['file_name'] not in absent]
    if part.before_training and len(images) > BEFORE_TRAINING:
        images = sample(images, SAMPLE)
    words = None if part.before_training else 'Opening images'
    opened = opened_at_once(_open, [str(folder / image['file_name']) for image in images], AT_ONCE, words)
    broken = [found for found in opened if isinstance(found, str)]
    yield from first_faults(part, broken, "images can't be read")
    pairs = [(image, found) for image, found in zip(images, opened, strict=True) if isinstance(found, Picture)]
    yield from _faults_of_sizes(part, file, pairs)
    yield from _faults_of_turns(part, pairs)
    yield from _faults_of_depth(part, folder, [image['file_name'] for image, found in pairs if found.deep])


def _missing(folder: Path, names: Sequence[str]) -> list[str]:
    """The names that are not in the folder; each folder inside is listed once, which is faster than to ask for each."""
    listed: dict[Path, set[str]] = {}
    missing = []
    for name in names:
        path = folder / name
        if path.parent not in listed:
            listed[path.parent] = set(os.listdir(path.parent)) if path.parent.is_dir() else set()
        # Names such as a/../b.jpg, and files on systems that take no notice of capitals.
        if path.name not in listed[path.parent] and not path.is_file():
            missing.append(name)
    return missing


def _open(path: str) -> Picture | str:
    """A picture's header, or what is wrong with it."""
    try:
        return read_picture(path)
    except BrokenFileError as error:
        return str(error)


def _faults_of_sizes(part: DataPart, file: CocoFile, pairs: list[tuple[dict, Picture]]) -> Iterator[Fault]:
    convention = part.dataset.get('exif_orientation')
    wrong = []
    for image, picture in pairs:
        sizes = dict(displayed=picture.displayed, stored=(picture.width, picture.height))
        allowed = [sizes[convention]] if convention else sizes.values()
        if 'width' in image and (image['width'], image['height']) not in allowed:
            width, height = sizes[convention or 'displayed']
            wrong.append(f"'{image['file_name']}' is {width} x {height}, not {image['width']} x {image['height']}")
    if wrong:
        yield Fault(
            Severity.BLOCKS,
            f"{part.key}: {examples(wrong)} of the images have another width and height than '{file.path}' says; "
            'correct both there (and check that the boxes fit), or put the pictures there that were annotated.',
        )


def _faults_of_turns(part: DataPart, pairs: list[tuple[dict, Picture]]) -> Iterator[Fault]:
    """Whether boxes mean a picture before or after its EXIF turn shows in its size, if at all."""
    if part.dataset.get('exif_orientation'):
        return
    displayed = stored = 0
    unclear = []
    for image, picture in pairs:
        if picture.orientation == 1:
            continue
        if 'width' not in image or picture.displayed == (picture.width, picture.height):
            unclear.append(f"'{image['file_name']}'")
        elif (image['width'], image['height']) == picture.displayed:
            displayed += 1
        else:
            stored += 1
    if unclear and (stored or not displayed):
        yield Fault(
            Severity.BLOCKS,
            f'{part.key}: {examples(unclear)} of the images are turned or mirrored by their EXIF data, and their size '
            "does not tell whether the annotations mean them so; set exif_orientation='displayed' (as viewers and most "
            "annotation tools show them) or 'stored' (as arrays without EXIF) in the data set.",
        )


def _faults_of_depth(part: DataPart, folder: Path, deep: list[str]) -> Iterator[Fault]:
    """Of pictures with more than 8 bits, whose range only the pixels show."""
    step = next(iter(part.dataset.get('pipeline', ())), ConfigDict())
    if step.get('type') != 'LoadImageFromFile':
        return
    load = LoadImageFromFile(**{name: value for name, value in step.items() if name != 'type'})
    for name in sample(deep, DEEP_SAMPLE):
        try:
            load.transform(dict(img_path=str(folder / name)))
        except UserError as error:
            yield Fault(Severity.BLOCKS, f'{part.key}: {error}')
            return
