"""Volumes: lists of them as the Medical Segmentation Decathlon has them, and NIfTI files."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.errors import BrokenFileError, UserError, first_line, require_extra

import numpy as np

ENDINGS = ('.nii', '.nii.gz')
"""NIfTI's, which holds where each voxel lies."""

SAME_PLACE = 0.1
"""Voxels by which an image and its labels may lie apart, as programs round what they write."""


class VolumePair(NamedTuple):
    """Files of one volume; ``label`` is None where none is wanted."""

    image: str
    label: str | None


class VolumeList(NamedTuple):
    """Of a JSON file.

    Attributes:
        pairs: Of the wanted part.
        classes: Names of the labels by number, if the file has them.
    """

    pairs: list[VolumePair]
    classes: list[str] | None


class Header(NamedTuple):
    """Of a volume: its shape, of several channels ``(X, Y, Z, channels)``, and where voxels lie, in millimetres."""

    shape: tuple[int, ...]
    affine: np.ndarray


def read_volume_list(path: str | Path, part: str, with_labels: bool) -> VolumeList:
    """A list in the Medical Segmentation Decathlon's format (``dataset.json``), which MONAI's programs also read.

    Args:
        path: Of the JSON file, in whose folder paths begin.
        part: ``'training'``, ``'validation'`` or ``'test'``.
        with_labels: Whether each volume needs its labels.

    Raises:
        UserError: for a file that is missing, no JSON, lacks the part, or has entries or files that can't be used.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(f"The list of volumes '{path}' can't be read: {first_line(str(error))}.") from error
    if not isinstance(content, dict) or not isinstance(content.get(part), list) or not content[part]:
        known = [key for key, value in content.items() if isinstance(value, list)] if isinstance(content, dict) else []
        raise UserError(
            f"The list of volumes '{path}' has no '{part}' (its lists are: {', '.join(known) or 'none'}); add it, such "
            'as {"'
            + part
            + '": [{"image": "imagesTr/1.nii.gz", "label": "labelsTr/1.nii.gz"}]}, or name another list: '
            'data_list_key.'
        )
    return VolumeList([_pair(entry, Path(path), part, with_labels) for entry in content[part]], _classes(content, path))


def header_of(path: str | Path) -> Header:
    """Shape and place of a volume, without reading its voxels.

    Raises:
        BrokenFileError: for a file that is missing, no NIfTI or no volume.
        UserError: without nibabel.
    """
    require_extra('nibabel', 'volumes')
    import nibabel

    try:
        found: Any = nibabel.load(path)
        header = Header(tuple(found.shape), np.asarray(found.affine, float))
    except (OSError, ValueError, EOFError, nibabel.filebasedimages.ImageFileError) as error:
        raise BrokenFileError(f"The volume '{path}' can't be read: {first_line(str(error))}.") from error
    if len(header.shape) not in (3, 4):
        raise BrokenFileError(
            f"'{path}' is no volume: it has {header.shape} voxels; a volume has three axes, or a fourth of channels."
        )
    return header


def must_have_one_place(pair: VolumePair) -> None:
    """
    Raises:
        BrokenFileError: as :func:`header_of`.
        UserError: where an image and its labels have not the same voxels in the same places.
    """
    image = header_of(pair.image)
    if pair.label is None:
        return
    label = header_of(pair.label)
    if label.shape[:3] != image.shape[:3] or any(side != 1 for side in label.shape[3:]):
        raise UserError(
            f"The labels '{pair.label}' have {label.shape} voxels, but their image '{pair.image}' has "
            f'{image.shape}; resample the labels to the image (nearest neighbour), or correct the list.'
        )
    corners = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * [
        *np.array(image.shape[:3]) - 1,
        1,
    ]
    apart = np.abs(corners @ (image.affine - label.affine).T).max()
    if apart > SAME_PLACE * np.linalg.norm(image.affine[:3, :3], axis=0).min():
        raise UserError(
            f"The labels '{pair.label}' lie {apart:.3g} mm beside their image '{pair.image}', by what both files say "
            'of the place of their voxels (affine); copy it from the image if the voxels belong together as they are, '
            'or resample the labels to the image.'
        )


def must_be_labels(path: str, labels: np.ndarray, count: int) -> None:
    """
    Raises:
        UserError: for labels that are no numbers of classes.
    """
    values = np.unique(labels)
    if np.isfinite(values).all() and (values == np.round(values)).all() and values[0] >= 0 and values[-1] < count:
        return
    wrong = [f'{value:g}' for value in values if not (0 <= value < count and value == round(value))]
    raise UserError(
        f"The labels '{path}' hold {', '.join(wrong[:3])}{', ...' if len(wrong) > 3 else ''}, but there are {count} "
        f'classes, whose numbers are 0 to {count - 1}; correct the labels, or name all classes (0 is the background).'
    )


def must_be_numbers(path: str, image: np.ndarray) -> None:
    """
    Raises:
        UserError: for an image with voxels that are no numbers, by which training would end.
    """
    if not np.isfinite(image).all():
        count = int((~np.isfinite(image)).sum())
        raise UserError(
            f"The volume '{path}' has {count} voxels that are infinite or no numbers (NaN); write the value of the "
            'background there, for CT -1024.'
        )


def _pair(entry: Any, path: Path, part: str, with_labels: bool) -> VolumePair:
    entry = dict(image=entry) if isinstance(entry, str) else entry
    names = ('image', 'label') if with_labels else ('image',)
    for name in names:
        if not isinstance(entry, dict) or not isinstance(entry.get(name), str):
            raise UserError(
                f"An entry of '{part}' in the list of volumes '{path}' is {json.dumps(entry)[:100]}; it needs the path "
                f'of one file as "{name}".'
            )
        if not (path.parent / entry[name]).is_file():
            raise UserError(
                f"The list of volumes '{path}' names '{entry[name]}', which does not exist in '{path.parent}'; paths "
                'begin in the folder of the list.'
            )
    image, label = (str(path.parent / entry[name]) if name in names else None for name in ('image', 'label'))
    return VolumePair(str(image), label)


def _classes(content: dict, path: str | Path) -> list[str] | None:
    labels = content.get('labels')
    if not labels:
        return None
    try:
        # Either way round: decathlon writes {"0": "background"}, nnU-Net {"background": 0}.
        numbers = {int(key): str(value) for key, value in labels.items()}
    except (ValueError, AttributeError):
        try:
            numbers = {int(value): str(key) for key, value in labels.items()}
        except (ValueError, TypeError, AttributeError):
            numbers = {}
    if sorted(numbers) != list(range(len(labels))):
        raise UserError(
            f"'labels' in the list of volumes '{path}' must give every number from 0 on a name, such as "
            '{"0": "background", "1": "spleen"}, but is ' + f'{json.dumps(labels)[:150]}.'
        )
    return [numbers[number] for number in range(len(numbers))]
