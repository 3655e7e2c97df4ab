"""Files of predictions, in the formats that other programs read."""

import csv
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import UserError, examples
from hiera_mm.inference.results import Segmentation, VolumeSegmentation
from hiera_mm.inference.visualization import palette_of
from hiera_mm.readers.coco_files import read_annotations

from PIL import Image


class Numbers:
    """Of pictures and categories, as an annotation file gives them, or counted from 1.

    Args:
        names: Of the model's classes.
        ann_file: In COCO's format, with or without annotations.

    Raises:
        UserError: if the file lacks a class of the model, or can't be read.
    """

    def __init__(self, names: Sequence[str], ann_file: str | None = None) -> None:
        self.ann_file, self.pictures = ann_file, None
        self.categories = {name: number for number, name in enumerate(names, start=1)}
        if ann_file is not None:
            content = read_annotations(ann_file, '--ann-file', without_objects=True)
            self.pictures = {image['file_name']: image for image in content.images}
            given = {category['name']: category['id'] for category in content.categories}
            if absent := [name for name in names if name not in given]:
                raise UserError(
                    f"The annotation file '{ann_file}' lacks {examples(absent)} of the model's {len(names)} classes; "
                    'give the one that belongs to the pictures.'
                )
            self.categories = {name: given[name] for name in names}

    def of_picture(self, name: str, count: int) -> int:
        """The number of a picture or frame that is the ``count``-th."""
        return count if self.pictures is None else self.pictures[name]['id']

    def size_of(self, name: str) -> dict:
        """``width`` and ``height`` of a picture as its annotations mean it, as far as they are given.

        Raises:
            UserError: if the annotation file does not have the picture.
        """
        if self.pictures is None:
            return {}
        if name not in self.pictures:
            raise UserError(
                f"The annotation file '{self.ann_file}' has no picture '{name}', but "
                f'{examples(list(self.pictures))}; name the folder that its file names begin in.'
            )
        return {key: self.pictures[name][key] for key in ('width', 'height') if key in self.pictures[name]}


def write_coco(folder: Path, entries: Iterable[dict], numbers: Numbers) -> None:
    """Write ``predictions.json``, COCO's result format, and ``images.json``, the pictures and categories that its
    numbers mean, one entry at a time.

    Args:
        folder: Where to.
        entries: A dict for each picture or frame: ``input``, ``width``, ``height``, ``objects``, and of a video
            ``frame`` and ``time``.
        numbers: Of pictures and categories.
    """
    with (
        atomic_write(folder / 'images.json') as images,
        atomic_write(folder / 'predictions.json') as predictions,
        images.open('w') as image_file,
        predictions.open('w') as prediction_file,
    ):
        image_file.write(json.dumps(dict(categories=_categories(numbers.categories)))[:-1] + ', "images": [')
        prediction_file.write('[')
        comma = ''
        for count, entry in enumerate(entries, start=1):
            objects, name = entry.pop('objects'), entry.pop('input')
            number = numbers.of_picture(name, count)
            image_file.write((',\n' if count > 1 else '\n') + json.dumps(dict(id=number, file_name=name, **entry)))
            for found in objects:
                category = numbers.categories[found['category_name']]
                prediction_file.write(comma + '\n' + json.dumps(dict(image_id=number, category_id=category, **found)))
                comma = ','
        image_file.write(']}\n')
        prediction_file.write(']\n')


def write_classes(folder: Path, entries: Iterable[dict]) -> None:
    """Write ``predictions.csv``: a row for each input, the surest class and its score first.

    Args:
        folder: Where to.
        entries: ``input`` and ``classes``, pairs of name and score, of each.
    """
    with atomic_write(folder / 'predictions.csv') as unfinished, unfinished.open('w', newline='') as file:
        writer = csv.writer(file)
        for count, entry in enumerate(entries):
            if count == 0:
                heads = [
                    f'{head}_{place}' for place in range(1, len(entry['classes']) + 1) for head in ('class', 'score')
                ]
                writer.writerow(['file', *heads])
            writer.writerow([entry['input'], *(cell for pair in entry['classes'] for cell in pair)])


def write_shares(folder: Path, entries: Iterable[dict], names: Sequence[str]) -> None:
    """Write ``predictions.csv``: a row for each picture or frame with the part of it that each class has.

    Args:
        folder: Where to.
        entries: ``input`` and ``shares``, and of a video ``frame`` and ``time``, of each.
        names: Of the classes.
    """
    with atomic_write(folder / 'predictions.csv') as unfinished, unfinished.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['file', 'frame', 'time', *names])
        for entry in entries:
            writer.writerow([entry['input'], entry.get('frame'), entry.get('time'), *entry['shares']])


def write_millilitres(folder: Path, entries: Iterable[dict], names: Sequence[str]) -> None:
    """Write ``predictions.csv``: a row for each volume with the millilitres that each class has.

    Args:
        folder: Where to.
        entries: ``input`` and ``millilitres`` of each.
        names: Of the classes.
    """
    with atomic_write(folder / 'predictions.csv') as unfinished, unfinished.open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['file', *names])
        for entry in entries:
            writer.writerow([entry['input'], *entry['millilitres']])


def write_labels(path: Path, found: VolumeSegmentation) -> None:
    """Write the numbers of classes as a NIfTI file that lies where its image does."""
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    image = nibabel.Nifti1Image(found.labels, found.affine)
    content = image.to_bytes()
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(gzip.compress(content, mtime=0) if path.name.lower().endswith('.gz') else content)


def write_mask(path: Path, found: Segmentation) -> None:
    """Write the numbers of classes as a picture of one channel, with a palette by which viewers show it in colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.fromarray(found.labels, 'P')
    mask.putpalette(palette_of(len(found.names)).tobytes())
    with atomic_write(path) as unfinished:
        mask.save(unfinished, format='PNG')


def write_actions(path: Path, result: dict) -> None:
    """Write what an action detector found in a video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished:
        unfinished.write_text(json.dumps(result, indent=1))


def _categories(numbers: Mapping[str, int]) -> list[dict]:
    return [dict(id=number, name=name) for name, number in numbers.items()]
