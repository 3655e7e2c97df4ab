"""Lists of volumes in the Medical Segmentation Decathlon's format, and NIfTI files."""

import json
import zlib
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.errors import BrokenFileError, UserError, first_line, require_extra

import numpy as np

ENDINGS = ('.nii', '.nii.gz')
"""NIfTI's endings; NIfTI also stores where each voxel lies."""

MILLIMETRES = {'mm': 1.0, 'micron': 1e-3, 'meter': 1e3}
"""Millimetres in NIfTI's units of length."""

UNREADABLE = (OSError, ValueError, TypeError, KeyError, EOFError, zlib.error)
"""What reading a damaged file raises; KeyError for a unit of length that NIfTI does not know."""

MIN_VOXEL_VOLUME = 1e-12
"""Cubic millimetres below which an affine is broken."""

MAX_MISALIGNMENT = 0.1
"""How far an image and its labels may lie apart, in voxels, since programs round what they write."""


class VolumePair(NamedTuple):
    """The files of one volume; ``label`` is None if no labels are needed."""

    image: str
    label: str | None


class VolumeList(NamedTuple):
    """One part of a list of volumes.

    Attributes:
        pairs: Its volumes.
        classes: Class names by number, if the file has them.
    """

    pairs: list[VolumePair]
    classes: list[str] | None


class Header(NamedTuple):
    """What a volume's header says.

    Attributes:
        shape: ``(X, Y, Z)`` or ``(X, Y, Z, channels)``.
        affine: ``(4, 4)``, from voxels to millimetres.
        unit: The unit of lengths in the file, ``'mm'``, ``'micron'`` or ``'meter'``; millimetres if it has none.
    """

    shape: tuple[int, ...]
    affine: np.ndarray
    unit: str


def read_volume_list(path: str | Path, part: str, with_labels: bool) -> VolumeList:
    """Read a list in the Medical Segmentation Decathlon's format (``dataset.json``), which MONAI's programs also read.

    Args:
        path: The JSON file; paths in it are relative to its folder.
        part: ``'training'``, ``'validation'`` or ``'test'``.
        with_labels: Whether each volume needs labels.

    Raises:
        UserError: if the file is missing, is not JSON, lacks the part, or names entries or files that can't be used.
    """
    try:
        content = json.loads(Path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise UserError(f"The list of volumes '{path}' can't be read: {first_line(str(error))}.") from error
    if not isinstance(content, dict) or not isinstance(content.get(part), list) or not content[part]:
        known = [key for key, value in content.items() if isinstance(value, list)] if isinstance(content, dict) else []
        example = f'{{"{part}": [{{"image": "imagesTr/1.nii.gz", "label": "labelsTr/1.nii.gz"}}]}}'
        raise UserError(
            f"The list of volumes '{path}' has no '{part}' (its lists are: {', '.join(known) or 'none'}); add it, such "
            f'as {example}, or name another list with data_list_key.'
        )
    return VolumeList([_pair(entry, Path(path), part, with_labels) for entry in content[part]], _classes(content, path))


def read_header(path: str | Path) -> Header:
    """Read a volume's shape and affine, without its voxels.

    Raises:
        BrokenFileError: if the file is missing, is not NIfTI, or is not a volume.
        UserError: without nibabel.
    """
    require_extra('nibabel', 'volumes')
    import nibabel

    try:
        found: Any = nibabel.load(path)
        unit = found.header.get_xyzt_units()[0] if hasattr(found.header, 'get_xyzt_units') else 'mm'
        affine = _scaling(MILLIMETRES.get(unit, 1.0)) @ np.asarray(found.affine, float)
        header = Header(tuple(found.shape), affine, unit if unit in MILLIMETRES else 'mm')
    except (*UNREADABLE, nibabel.filebasedimages.ImageFileError) as error:
        raise BrokenFileError(f"The volume '{path}' can't be read: {first_line(str(error))}.") from error
    if len(header.shape) not in (3, 4):
        raise BrokenFileError(
            f"'{path}' is not a volume: it has {header.shape} voxels; a volume has three axes, or four with channels."
        )
    if not np.isfinite(header.affine).all() or abs(np.linalg.det(header.affine[:3, :3])) < MIN_VOXEL_VOLUME:
        raise BrokenFileError(
            f"The volume '{path}' doesn't say where its voxels lie (its affine is {header.affine.tolist()}); write it "
            'again with the affine of its scan.'
        )
    return header


def read_voxels(path: str | Path) -> np.ndarray:
    """Read a volume's voxels as its file has them.

    Raises:
        BrokenFileError: if the file can't be read.
        UserError: without nibabel.
    """
    require_extra('nibabel', 'volumes')
    import nibabel

    try:
        content: Any = nibabel.load(path)
        return np.asarray(content.dataobj)
    except (*UNREADABLE, nibabel.filebasedimages.ImageFileError) as error:
        raise BrokenFileError(f"The volume '{path}' can't be read: {first_line(str(error))}.") from error


def file_affine(header: Header) -> np.ndarray:
    """The affine in the file's own unit."""
    return _scaling(1 / MILLIMETRES[header.unit]) @ header.affine


def _scaling(factor: float) -> np.ndarray:
    return np.diag([factor, factor, factor, 1.0])


def turned_like(image: Header, label: Header) -> Header:
    """The header that labels have when they are stored along the axes of their image, see :func:`axes_turn`."""
    from nibabel.orientations import inv_ornt_aff

    turn = axes_turn(image, label)
    shape = tuple(label.shape[int(axis)] for axis in np.argsort(turn[:, 0]))
    return label._replace(shape=(*shape, *label.shape[3:]), affine=label.affine @ inv_ornt_aff(turn, label.shape[:3]))


def axes_turn(image: Header, label: Header) -> np.ndarray:
    """The exchange and mirroring of axes, in nibabel's form, that bring labels along the axes of their image."""
    from nibabel.orientations import io_orientation, ornt_transform

    return ornt_transform(io_orientation(label.affine), io_orientation(image.affine))


def check_alignment(pair: VolumePair) -> None:
    """Check that the voxels of an image and its labels lie in the same places.

    Raises:
        BrokenFileError: as :func:`read_header`.
        UserError: if they don't.
    """
    image = read_header(pair.image)
    if pair.label is None:
        return
    label = turned_like(image, read_header(pair.label))
    if label.shape[:3] != image.shape[:3] or any(side != 1 for side in label.shape[3:]):
        raise UserError(
            f"The labels '{pair.label}' have {label.shape} voxels along the axes of their image '{pair.image}', which "
            f'has {image.shape}; resample the labels to the image (nearest neighbour), or correct the list.'
        )
    corners = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * [
        *np.array(image.shape[:3]) - 1,
        1,
    ]
    apart = np.abs(corners @ (image.affine - label.affine).T).max()
    if apart > MAX_MISALIGNMENT * np.linalg.norm(image.affine[:3, :3], axis=0).min():
        raise UserError(
            f"By the files' affines, the labels '{pair.label}' lie {apart:.3g} mm away from their image "
            f"'{pair.image}'; resample the labels to the image (nearest neighbour). Only if both files' voxels are "
            "known to be stored in one order, and the labels' affine to be wrong, copy that of the image."
        )


def check_label_values(path: str, labels: np.ndarray, count: int) -> None:
    """Check that all labels are class numbers.

    Raises:
        UserError: naming those that are not.
    """
    values = np.unique(labels)
    if np.isfinite(values).all() and (values == np.round(values)).all() and values[0] >= 0 and values[-1] < count:
        return
    wrong = [f'{value:g}' for value in values if not (0 <= value < count and value == round(value))]
    raise UserError(
        f"The labels '{path}' hold {', '.join(wrong[:3])}{', ...' if len(wrong) > 3 else ''}, but there are {count} "
        f'classes, whose numbers are 0 to {count - 1}; correct the labels, or name all classes (0 is the background).'
    )


def check_finite(path: str, image: np.ndarray) -> None:
    """Check that all voxels are finite, since others would make the loss NaN.

    Raises:
        UserError: if some are not.
    """
    if not np.isfinite(image).all():
        count = int((~np.isfinite(image)).sum())
        raise UserError(
            f"The volume '{path}' has {count} voxels that are infinite or NaN; set them to the background's value, "
            'such as -1024 in CT.'
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
                "are relative to the list's folder."
            )
    image, label = (str(path.parent / entry[name]) if name in names else None for name in ('image', 'label'))
    return VolumePair(str(image), label)


def _classes(content: dict, path: str | Path) -> list[str] | None:
    labels = content.get('labels')
    if not labels:
        return None
    try:
        # Both forms occur: the Decathlon writes {"0": "background"}, nnU-Net {"background": 0}.
        numbers = {int(key): str(value) for key, value in labels.items()}
    except (ValueError, AttributeError):
        try:
            numbers = {int(value): str(key) for key, value in labels.items()}
        except (ValueError, TypeError, AttributeError):
            numbers = {}
    if sorted(numbers) != list(range(len(labels))):
        raise UserError(
            f"'labels' in the list of volumes '{path}' must name every number from 0 on, such as "
            f'{{"0": "background", "1": "spleen"}}, but is {json.dumps(labels)[:150]}.'
        )
    return [numbers[number] for number in range(len(numbers))]
