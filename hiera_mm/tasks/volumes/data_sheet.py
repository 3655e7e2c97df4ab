"""Sheets of volumes in three cuts with their labels."""

from pathlib import Path
from typing import Any

from hiera_mm.inference.data_sheet import Sheet, Tile, built_set, draw_samples
from hiera_mm.inference.visualization import palette_of
from hiera_mm.readers.volumes import read_voxels

import numpy as np
from mmengine.config import ConfigDict

PERCENTILES = (1, 99)
"""Intensities that are drawn black and white."""

SIDE = 160
"""Longest side of a cut in pixels."""


def draw_sheet(dataset: ConfigDict, scope: str | None, path: Path) -> Sheet:
    """Write volumes in three cuts through the middle of their labels."""
    return Sheet(draw_samples(built_set(ConfigDict(dataset, cache_rate=0.0), scope), _cuts, path, columns=2))


def _cuts(built: Any, number: int) -> Tile:
    info = built.get_data_info(number)
    voxels = read_voxels(info['image'][0])
    voxels = voxels[..., 0] if voxels.ndim == 4 else voxels
    labels = read_voxels(info['label']) if info.get('label') else np.zeros(voxels.shape)
    labels = labels.reshape(voxels.shape) if labels.size == voxels.size else np.zeros(voxels.shape)
    low, high = np.percentile(voxels, PERCENTILES)
    grey = (np.clip((voxels - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
    places = np.argwhere(labels > 0)
    middle = np.median(places, 0).astype(int) if len(places) else np.array(voxels.shape) // 2
    cuts = [_square(_coloured(np.take(grey, at, axis), np.take(labels, at, axis))) for axis, at in enumerate(middle)]
    return Tile(np.concatenate(cuts, 1), f'{Path(info["image"][0]).name}: cuts at {", ".join(map(str, middle))}')


def _coloured(grey: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """A cut, RGB, upright: the first axis to the right, the second upwards."""
    drawn = np.stack([grey] * 3, -1)
    numbers = labels.astype(int)
    inside = numbers > 0
    drawn[inside] = drawn[inside] // 2 + palette_of(numbers.max() + 1)[numbers[inside]] // 2
    return drawn.transpose(1, 0, 2)[::-1]


def _square(cut: np.ndarray) -> np.ndarray:
    """Enlarged and filled up to a square."""
    factor = max(1, SIDE // max(cut.shape[:2]))
    step = max(1, max(cut.shape[:2]) // (2 * SIDE))
    cut = cut.repeat(factor, 0).repeat(factor, 1)[::step, ::step]
    side = max(SIDE, *cut.shape[:2])
    filled = np.zeros((side, side, 3), np.uint8)
    filled[: cut.shape[0], : cut.shape[1]] = cut
    return filled
