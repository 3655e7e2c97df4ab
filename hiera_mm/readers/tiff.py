"""TIFF files of any number of channels and any kind of number, by the package tifffile: Pillow and OpenCV read few."""

import importlib.util
import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.errors import BrokenFileError, UnclearFileError, UserError, first_line, require_extra

import numpy as np
from PIL import Image

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

FURTHER_SAMPLES = 338
"""TIFF's number of the tag that says what samples beside grey or colours are."""

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
            pixels = _channels_last(series.asarray(), series.axes)
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
    """The header of a TIFF file's largest image; None for another file, a damaged one, one of which it can't be told
    what its channels are, or without tifffile."""
    try:
        return _header(source, str(source))
    except UnclearFileError:
        return None


def refuse_more_bands(source: str | Path | BytesIO, name: str | Path) -> None:
    """Refuse a TIFF file of which reading grey or colours would leave channels or images out.

    Raises:
        UnclearFileError: as :func:`read_tiff`.
        UserError: naming the setting that reads all; or the package, for a file that can't be told without tifffile.
    """
    if importlib.util.find_spec('tifffile') is None and _is_more_than_one_image(source):
        raise UserError(
            f"The image '{name}' has further pages or channels, so what it holds can't be told without tifffile: pip "
            "install 'hiera_mm[tiff]', or save it as one image in grey or colour."
        )
    header = _header(source, name)
    if header is not None and header.bands not in (1, 3):
        raise UserError(
            f"The image '{name}' has {header.bands} channels, but the config takes it for one in colour; set channels "
            f'= {header.bands} at the top of the config, with mean and std, or save it in grey or colour.'
        )


def _header(source: str | Path | BytesIO, name: str | Path) -> TiffHeader | None:
    """As :func:`tiff_header`.

    Raises:
        UnclearFileError: as :func:`read_tiff`.
    """
    try:
        import tifffile

        with tifffile.TiffFile(source) as file:
            series = _largest(file.series, name)
            page: Any = series.keyframe
            height, width = (series.shape[series.axes.index(axis)] for axis in 'YX')
            channels = math.prod(series.shape) // (height * width)
            alpha = sum(int(kind) in ALPHA for kind in page.extrasamples)
            bands = 3 if page.photometric in (PALETTE, *CODED) else channels - alpha
            whole = series.dtype.kind in 'ub' and series.dtype.itemsize <= 2
            return TiffHeader(width, height, _orientation(page), series.dtype.itemsize > 1, bands, whole)
    except UnclearFileError:
        raise
    # As in read_tiff.
    except Exception:
        return None


def _is_more_than_one_image(source: str | Path | BytesIO) -> bool:
    """Whether a TIFF file has several pages, or samples that are neither grey nor colours nor transparency, as Pillow
    sees it; False for other files."""
    try:
        with Image.open(source, formats=['TIFF']) as image:
            tags: Any = image.tag_v2  # type: ignore[attr-defined]
            further = [kind for kind in tags.get(FURTHER_SAMPLES, ()) if kind not in ALPHA]
            return getattr(image, 'n_frames', 1) > 1 or bool(further)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False


def _largest(series: Sequence[Any], name: str | Path) -> Any:
    """The largest image; others are smaller copies."""
    sizes = [_pixels(one) for one in series]
    largest = [one for one, size in zip(series, sizes, strict=True) if size == max(sizes)]
    if len(largest) > 1:
        kinds = sorted({str(one.dtype) for one in largest})
        differ = (
            f'numbers of several kinds ({", ".join(kinds)})' if len(kinds) > 1 else 'pages that are stored differently'
        )
        raise UnclearFileError(
            f"The image '{name}' has {len(largest)} images of the same size in {differ}, so it can't be told which are "
            'channels; save it as one image.'
        )
    for axis, length in zip(largest[0].axes, largest[0].shape, strict=True):
        if axis in STACKS and length > 1:
            raise UnclearFileError(
                f"The image '{name}' is a stack of {length} images along {STACKS[axis]}, not of channels; save each of "
                'them as a file, or the stack as channels.'
            )
    return largest[0]


def _pixels(series: Any) -> int:
    return math.prod(length for axis, length in zip(series.axes, series.shape, strict=True) if axis in 'YX')


def _channels_last(pixels: np.ndarray, axes: str) -> np.ndarray:
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
