"""TIFF files of any number of channels and any kind of number, by the package tifffile: Pillow and OpenCV read few."""

import math
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.errors import BrokenFileError, UnclearFileError, UserError, first_line, require_extra

import numpy as np

MARKS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
"""How TIFF and BigTIFF files begin."""

STACKS = dict(Z='depth', T='time')
"""Axes of a file whose images are not channels of one image."""

WHITE_IS_ZERO, PALETTE = 0, 3
"""TIFF's numbers for two ways to store colours."""

ALPHA = (1, 2)
"""TIFF's numbers for further channels that are transparency."""


class TiffHeader(NamedTuple):
    """What a TIFF file's header says.

    Attributes:
        width, height: Pixels, as stored.
        orientation: EXIF's, 1 to 8.
        deep: Whether a channel has more than 8 bits.
        bands: How many channels there are, without transparency.
    """

    width: int
    height: int
    orientation: int
    deep: bool
    bands: int


def is_tiff(content: bytes) -> bool:
    return content[:4] in MARKS


def read_tiff(content: bytes, name: str | Path) -> tuple[np.ndarray, int]:
    """The channels of a TIFF file's first image, whether they are samples of a pixel, planes or pages.

    Args:
        content: The file's content.
        name: Its path, for messages.

    Returns:
        The pixels as stored ``(H, W, channels)``, in the file's kind of number, and EXIF's orientation.

    Raises:
        BrokenFileError: for a file that can't be decoded.
        UnclearFileError: for a stack along depth or time.
        UserError: without tifffile.
    """
    require_extra('tifffile', 'tiff')
    import tifffile

    try:
        with tifffile.TiffFile(BytesIO(content)) as file:
            series = file.series[0]
            page: Any = series.keyframe
            pixels = _channels_last(series.asarray(), series.axes, name)
            return _as_displayed_colours(pixels, page), _orientation(page)
    except UserError:
        raise
    # tifffile and its decoders raise errors of many kinds for damaged files.
    except Exception as error:
        reason = first_line(str(error)) or type(error).__name__
        remedy = (
            "install it: pip install 'hiera_mm[tiff]'"
            if 'imagecodecs' in reason
            else 'replace it, or take it out of the inputs'
        )
        raise BrokenFileError(f"The image '{name}' can't be decoded ({reason}); {remedy}.") from error


def tiff_header(path: str | Path) -> TiffHeader | None:
    """The header of a TIFF file's first image; None for another file, a damaged one, or without tifffile."""
    try:
        import tifffile

        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            page: Any = series.keyframe
            height, width = (series.shape[series.axes.index(axis)] for axis in 'YX')
            channels = math.prod(series.shape) // (height * width)
            alpha = sum(int(kind) in ALPHA for kind in page.extrasamples)
            bands = 3 if page.photometric == PALETTE else channels - alpha
            return TiffHeader(width, height, _orientation(page), series.dtype.itemsize > 1, bands)
    # As above.
    except Exception:
        return None


def _channels_last(pixels: np.ndarray, axes: str, name: str | Path) -> np.ndarray:
    for axis, length in zip(axes, pixels.shape, strict=True):
        if axis in STACKS and length > 1:
            raise UnclearFileError(
                f"The image '{name}' is a stack of {length} images along {STACKS[axis]}, not of channels; save each of "
                'them as a file, or the stack as channels.'
            )
    height, width = axes.index('Y'), axes.index('X')
    rest = [place for place in range(pixels.ndim) if place not in (height, width)]
    return pixels.transpose(height, width, *rest).reshape(pixels.shape[height], pixels.shape[width], -1)


def _as_displayed_colours(pixels: np.ndarray, page: Any) -> np.ndarray:
    if page.photometric == PALETTE and page.colormap is not None:
        return np.moveaxis(page.colormap[:, pixels[..., 0]] >> 8, 0, -1).astype(np.uint8)
    if page.photometric == WHITE_IS_ZERO and pixels.dtype.kind == 'u':
        return np.iinfo(pixels.dtype).max - pixels
    return pixels


def _orientation(page: Any) -> int:
    tag = page.tags.get('Orientation')
    found = int(tag.value) if tag is not None else 1
    return found if found in range(1, 9) else 1
