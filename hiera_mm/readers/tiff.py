"""TIFF files of any number of channels and any kind of number, by the package tifffile: Pillow and OpenCV read few."""

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.errors import BrokenFileError, UnclearFileError, UserError, first_line, require_extra

import numpy as np

ENDINGS = ('.tif', '.tiff')
"""Endings of these files' names, in lower case."""

MARKS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
"""How TIFF and BigTIFF files begin."""

STACKS = dict(Z='depth', T='time')
"""Axes of a file whose images are not channels of one image."""

WHITE_IS_ZERO, PALETTE = 0, 3
"""TIFF's numbers for two ways to store colours."""

CODED = (5, 8)
"""Those for CMYK and CIELAB, which Pillow converts."""

ALPHA = (1, 2)
"""TIFF's numbers for further channels that are transparency."""


class TiffHeader(NamedTuple):
    """What a TIFF file's header says.

    Attributes:
        width, height: Pixels, as stored.
        orientation: EXIF's, 1 to 8.
        deep: Whether a channel has more than 8 bits.
        bands: How many channels there are, without transparency; codes of colours count as three.
        whole: Whether numbers are whole and have at most 16 bits.
    """

    width: int
    height: int
    orientation: int
    deep: bool
    bands: int
    whole: bool


def is_tiff(content: bytes) -> bool:
    return content[:4] in MARKS


def read_tiff(content: bytes, name: str | Path) -> tuple[np.ndarray, int] | None:
    """The channels of a TIFF file's largest image, whether they are samples of a pixel, planes or pages.

    Args:
        content: The file's content.
        name: Its path, for messages.

    Returns:
        The pixels as stored ``(H, W, channels)``, in the file's kind of number, and EXIF's orientation; None for CMYK
        and CIELAB.

    Raises:
        BrokenFileError: for a file that can't be decoded.
        UnclearFileError: for a stack along depth or time, and for pages of several kinds of number.
        UserError: without tifffile.
    """
    require_extra('tifffile', 'tiff')
    import tifffile

    try:
        with tifffile.TiffFile(BytesIO(content)) as file:
            series = _largest(file.series, name)
            page: Any = series.keyframe
            if page.photometric in CODED:
                return None
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


def tiff_header(source: str | Path | BytesIO) -> TiffHeader | None:
    """The header of a TIFF file's largest image; None for another file, a damaged one, or without tifffile."""
    try:
        import tifffile

        with tifffile.TiffFile(source) as file:
            series = _largest(file.series, str(source))
            page: Any = series.keyframe
            height, width = (series.shape[series.axes.index(axis)] for axis in 'YX')
            channels = math.prod(series.shape) // (height * width)
            alpha = sum(int(kind) in ALPHA for kind in page.extrasamples)
            bands = 3 if page.photometric in (PALETTE, *CODED) else channels - alpha
            whole = series.dtype.kind in 'ub' and series.dtype.itemsize <= 2
            return TiffHeader(width, height, _orientation(page), series.dtype.itemsize > 1, bands, whole)
    # As above.
    except Exception:
        return None


def refuse_more_bands(source: str | Path | BytesIO, name: str | Path) -> None:
    """Refuse a TIFF file of which reading grey or colours would leave channels out.

    Raises:
        UserError: naming the setting that reads all.
    """
    header = tiff_header(source)
    if header is not None and header.bands not in (1, 3):
        raise UserError(
            f"The image '{name}' has {header.bands} channels, but the config takes it for one in colour; set channels "
            f'= {header.bands} at the top of the config, with mean and std, or save it in grey or colour.'
        )


def _largest(series: Sequence[Any], name: str | Path) -> Any:
    """The largest image; others are smaller copies."""
    sizes = [_pixels(one) for one in series]
    largest = [one for one, size in zip(series, sizes, strict=True) if size == max(sizes)]
    if len(largest) > 1:
        kinds = ', '.join(sorted({str(one.dtype) for one in largest}))
        raise UnclearFileError(
            f"The image '{name}' has pages of several kinds ({kinds}), so it can't be told which are channels; save "
            'all in one kind of number.'
        )
    return largest[0]


def _pixels(series: Any) -> int:
    return math.prod(length for axis, length in zip(series.axes, series.shape, strict=True) if axis in 'YX')


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
    if page.photometric == WHITE_IS_ZERO and pixels.dtype.kind in 'ub':
        return ~pixels
    return pixels


def _orientation(page: Any) -> int:
    tag = page.tags.get('Orientation')
    found = int(tag.value) if tag is not None else 1
    return found if found in range(1, 9) else 1
