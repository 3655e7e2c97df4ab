"""Channels, spacing, intensities and crops that suit volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hiera_mm.errors import UserError, first_few
from hiera_mm.readers.listed_volumes import VolumePair
from hiera_mm.readers.volumes import read_header, read_voxels

import numpy as np

FEW = 20
"""Of how many volumes spacing, size and intensities are looked at."""

AIR = -500
"""Intensities below this are Hounsfield units of air, in CT."""

CT_RANGE, CT_SPACING = (-175, 250), (1.5, 1.5, 2.0)
"""Soft tissue, and the voxels that BTCV's recipe has, in millimetres."""


def settings_for(pairs: Sequence[VolumePair], content: dict[str, Any]) -> dict[str, Any]:
    """The settings for volumes.

    Args:
        pairs: The volumes.
        content: What a list says of them; its ``channel_names`` (nnU-Net) or ``modality`` (the Decathlon) tell CT from
            others.

    Raises:
        UserError: if the volumes don't have one number of channels, or if the list names another number of them.
    """
    from nibabel.orientations import io_orientation

    looked_at = pairs[:: max(1, len(pairs) // FEW)]
    voxels, sizes, lowest = [], [], []
    for pair in looked_at:
        header = read_header(pair.images[0])
        order = np.argsort(io_orientation(header.affine)[:, 0])
        voxels.append(np.linalg.norm(header.affine[:3, :3], axis=0)[order])
        sizes.append(np.array(header.shape[:3])[order] * voxels[-1])
        lowest.append([low for file in pair.images for low in _lowest(file)])
    if len({len(each) for each in lowest}) > 1:
        counts = [f'{pair.images[0]} has {len(each)}' for pair, each in zip(looked_at, lowest, strict=True)]
        raise UserError(f'The volumes have different numbers of channels: {first_few(counts)}; give all the same.')
    ranges = _ranges(np.min(lowest, axis=0).tolist(), _channel_names(content, len(lowest[0])))
    size = np.median(sizes, axis=0)
    spacing = np.array(CT_SPACING) if set(ranges) == {CT_RANGE} else np.round(np.median(voxels, axis=0), 3)
    if (size / spacing).min() < 32:
        spacing = np.round(np.median(voxels, axis=0), 3)
    return dict(
        **(dict(channels=len(ranges)) if len(ranges) > 1 else {}),
        spacing=tuple(float(side) for side in spacing),
        intensity_range=ranges[0] if len(set(ranges)) == 1 else ranges,
        crop_size=_crop(size / spacing),
    )


def _lowest(path: str) -> list[float]:
    """The lowest intensity of each channel of a file."""
    voxels = read_voxels(path)
    return voxels.reshape(-1, voxels.shape[3] if voxels.ndim == 4 else 1).min(axis=0).tolist()


def _channel_names(content: dict[str, Any], count: int) -> list[str]:
    """What a list calls the channels, by number; a text alone, as of the Decathlon's modality, is for all."""
    named = content.get('channel_names') or content.get('modality') or []
    if isinstance(named, dict):
        # Numbers as text: 10 comes after 9.
        named = [named[key] for key in sorted(named, key=lambda key: (len(str(key)), str(key)))]
    return list(map(str, named)) if isinstance(named, list) else [str(named)] * count


def _ranges(lowest: Sequence[float], names: Sequence[str]) -> list[Any]:
    """How the intensities of each channel become comparable, as nnU-Net decides: CT has units, others have none."""
    if names and len(names) != len(lowest):
        raise UserError(
            f'The list of volumes names {len(names)} of the channels ({", ".join(names)}), but the volumes have '
            f'{len(lowest)}; correct channel_names (or modality), or the files.'
        )
    if not names:
        return [CT_RANGE if low < AIR else None for low in lowest]
    return [CT_RANGE if name.strip().upper() == 'CT' else 'zscore' for name in names]


def _crop(shape: np.ndarray) -> tuple[int, int, int]:
    """Up to 96 voxels along each axis: X and Y the same, a multiple of 32, and Z even."""
    side = int(min(96, max(32, round(min(shape[:2]) / 32) * 32)))
    return side, side, int(min(96, max(8, shape[2] // 8 * 8)))
