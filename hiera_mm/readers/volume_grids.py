"""Where the voxels of the files of one volume lie: its labels, and its channels in separate files."""

from collections.abc import Sequence

from hiera_mm.errors import UserError
from hiera_mm.readers.listed_volumes import VolumePair
from hiera_mm.readers.volume_labels import check_one_number
from hiera_mm.readers.volumes import Header, read_header

import numpy as np

MAX_MISALIGNMENT = 0.1
"""How far an image and its labels may lie apart, in voxels, since programs round what they write."""

MIN_COVERED = 0.5
"""Least share of the first file's voxels that a further file must cover, so that it can be of the same scan."""

PLACES = 16
"""Of how many voxels along each axis it is tested whether another file covers them."""


def check_alignment(pair: VolumePair) -> list[Header]:
    """Check that the files of a volume show the same place, and that its labels' voxels are those of the first file.

    Returns:
        The headers of the image's files.

    Raises:
        BrokenFileError: as :func:`hiera_mm.readers.volumes.read_header`.
        UserError: if they don't.
    """
    headers = [read_header(path) for path in pair.images]
    for path, header in zip(pair.images[1:], headers[1:], strict=True):
        _check_covers(path, header, pair.images[0], headers[0])
    if pair.label is not None:
        label = read_header(pair.label)
        check_one_number(pair.label, label.shape)
        _check_beside(pair.label, turned_like(headers[0], label), pair.images[0], headers[0])
    return headers


def channel_count(headers: Sequence[Header]) -> int:
    """Channels of an image in these files: each file has one, or as many as its fourth axis."""
    return sum(header.shape[3] if len(header.shape) == 4 else 1 for header in headers)


def check_channels(pair: VolumePair, headers: Sequence[Header], count: int) -> None:
    """Check that an image has so many channels.

    Raises:
        UserError: if it has others.
    """
    if (found := channel_count(headers)) != count:
        files = f' in {len(headers)} files' if len(headers) > 1 else ''
        raise UserError(
            f"The volume '{pair.images[0]}' has {found} channel{'s' * (found != 1)}{files}, but the model takes "
            f'{count} (channels in its config); a channel is each file of a list\'s "image": [...], each file '
            'CASE_0000.nii.gz, CASE_0001.nii.gz, or each entry of the fourth axis of one file.'
        )


def same_grid(first: Header, other: Header) -> bool:
    """Whether the voxels of two files lie in the same places, in the same order."""
    return first.shape[:3] == other.shape[:3] and _apart(first, other) <= _tolerance(first)


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


def _check_beside(path: str, label: Header, image_path: str, image: Header) -> None:
    if label.shape[:3] != image.shape[:3]:
        raise UserError(
            f"The labels '{path}' have {label.shape} voxels along the axes of their image '{image_path}', which has "
            f'{image.shape}; resample the labels to the image (nearest neighbour), or correct the list.'
        )
    if (apart := _apart(image, label)) > _tolerance(image):
        raise UserError(
            f"By the files' affines, the labels '{path}' lie {apart:.3g} mm away from their image '{image_path}'; "
            "resample the labels to the image (nearest neighbour). Only if both files' voxels are known to be stored "
            "in one order, and the labels' affine to be wrong, copy that of the image."
        )


def _check_covers(path: str, header: Header, first_path: str, first: Header) -> None:
    if (covered := _covered(first, header)) < MIN_COVERED:
        raise UserError(
            f"By the files' affines, '{path}' covers {covered:.0%} of '{first_path}', with which it is listed as one "
            'volume; correct the list, or align the two by registering the one to the other.'
        )


def _apart(first: Header, other: Header) -> float:
    """The largest distance between the same corners of two volumes of one shape, in millimetres."""
    ends = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
    corners = ends * [*np.array(first.shape[:3]) - 1, 1]
    return float(np.abs(corners @ (first.affine - other.affine).T).max())


def _tolerance(header: Header) -> float:
    return MAX_MISALIGNMENT * float(np.linalg.norm(header.affine[:3, :3], axis=0).min())


def _covered(first: Header, other: Header) -> float:
    """The share of the first file's voxels that lie inside the other, by some of them."""
    from nibabel.affines import apply_affine

    along = [np.linspace(0, side - 1, PLACES) for side in first.shape[:3]]
    places = np.stack(np.meshgrid(*along, indexing='ij'), -1).reshape(-1, 3)
    inside = apply_affine(np.linalg.inv(other.affine) @ first.affine, places)
    return float(((inside >= -0.5) & (inside <= np.array(other.shape[:3]) - 0.5)).all(axis=1).mean())
