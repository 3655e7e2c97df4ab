"""NIfTI files of volumes."""

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
