"""Image files: the header (size, EXIF orientation, bit depth), whether a file is complete, and its pixels in 8 bits."""

import functools
import importlib.util
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from hiera_mm.errors import BrokenFileError, UnclearFileError
from hiera_mm.readers.tiff import tiff_header

import numpy as np
from PIL import Image, UnidentifiedImageError

EXIF_ORIENTATION = 274
"""EXIF's tag for the orientation."""

END_MARKERS = {'JPEG': (b'\xff\xd9', 65536), 'PNG': (b'IEND', 64)}
"""The bytes that end a complete file of a format, and how far from the end of the file they may be: cameras append
data to a JPEG."""

ENDINGS = (
    *('.jpg', '.jpeg', '.jfif', '.png', '.bmp', '.gif', '.tif', '.tiff', '.webp', '.avif', '.heic', '.heif'),
    *('.jp2', '.ppm', '.pgm', '.pbm', '.tga', '.pcx'),
)
"""Endings of these formats' file names, in lower case."""

FORMATS = ('JPEG', 'PNG', 'BMP', 'DIB', 'GIF', 'TIFF', 'WEBP', 'AVIF', 'HEIF', 'JPEG2000', 'PPM', 'TGA', 'PCX')
"""The formats that are read, whatever a file's name says; Pillow would start other programs for some of the rest."""

DEEP_MODES = ('I;16', 'I;16B', 'I;16L', 'I', 'F')
"""Pillow's modes with more than 8 bits a channel."""


FULL_DEPTH = 16


class ImageHeader(NamedTuple):
    """What an image's header says.

    Attributes:
        width, height: Pixels, as stored.
        orientation: EXIF's, 1 to 8; 1 is upright.
        deep: Whether a channel has more than 8 bits.
    """

    width: int
    height: int
    orientation: int
    deep: bool

    @property
    def displayed(self) -> tuple[int, int]:
        """Width and height after the rotation that EXIF asks for."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def open_image(path: str | Path | BytesIO) -> Image.Image:
    """Open an image file with Pillow, as one of ``FORMATS``.

    Raises:
        OSError: as :func:`PIL.Image.open`.
        BrokenFileError: for a HEIC file without the package that reads it.
    """
    _register_heif()
    try:
        image = Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
    except UnidentifiedImageError as error:
        if 'HEIF' not in Image.OPEN and _is_heif(path):
            name = 'given' if isinstance(path, BytesIO) else path
            raise BrokenFileError(
                f"The image '{name}' is a HEIC file, which needs the package pillow-heif: pip install 'hiera_mm[heic]'."
            ) from error
        raise UnidentifiedImageError('it is in none of the image formats that are read') from error
    # Without its name Pillow reads the file instead of mapping it into memory, where it garbles turned TIFF files.
    image.filename = ''
    return image


@functools.cache
def _register_heif() -> None:
    Image.init()
    if importlib.util.find_spec('pillow_heif') is not None:
        import pillow_heif

        pillow_heif.register_heif_opener()


def _is_heif(path: str | Path | BytesIO) -> bool:
    """Whether a file's brand is one of HEIF's."""
    if isinstance(path, BytesIO):
        head = path.getvalue()[:12]
    else:
        with open(path, 'rb') as file:
            head = file.read(12)
    return head[4:8] == b'ftyp' and head[8:12] in (b'heic', b'heix', b'heim', b'heis', b'hevc', b'mif1', b'msf1')


def rgb_pixels(image: Image.Image, name: str | Path, bit_depth: int | None = None) -> np.ndarray:
    """An image's pixels as RGB ``(H, W, 3)`` of unsigned bytes; grey images of more bits keep their grades.

    Args:
        image: The image.
        name: Its path, for messages.
        bit_depth: As for :func:`eight_bits`.

    Raises:
        UnclearFileError: as :func:`eight_bits`.
    """
    if image.mode not in DEEP_MODES:
        return np.array(image.convert('RGB'))
    grey = eight_bits(np.array(image), name, bit_depth)
    return np.repeat(grey[..., None], 3, axis=-1)


def eight_bits(pixels: np.ndarray, name: str | Path, bit_depth: int | None = None) -> np.ndarray:
    """Pixels of 16 bits in 8 bits.

    Args:
        pixels: Unsigned integers of 16 bits, or larger ones within that range.
        name: The image's path, for messages.
        bit_depth: How many bits are used, such as 12; by default all.

    Raises:
        UnclearFileError: for other numbers, whose range is unknown, and for an image that would be nearly black.
    """
    within = np.issubdtype(pixels.dtype, np.integer) and pixels.size and 0 <= pixels.min() <= pixels.max() < 2**16
    if not within:
        raise UnclearFileError(
            f"The image '{name}' has {pixels.dtype} pixels, whose range is unknown; convert it to 8 or 16 bits."
        )
    largest = int(pixels.max())
    if bit_depth is None and 0 < largest < 4096:
        raise UnclearFileError(
            f"The image '{name}' has 16 bits a channel, but no value over {largest}, so it would be nearly black; set "
            f'bit_depth={max(largest.bit_length(), 8)} in the first step of the pipelines, or bit_depth=16 if it is '
            'that dark.'
        )
    return np.clip(pixels >> ((bit_depth or FULL_DEPTH) - 8), 0, 255).astype(np.uint8)


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of an image, 1 to 8; 1, upright, if it has none or another number."""
    found = image.getexif().get(EXIF_ORIENTATION, 1)
    return found if found in range(1, 9) else 1


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels ``(H, W, ...)`` as stored, turned as an EXIF orientation from 1 to 8 asks for."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def turned_back(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """The opposite of :func:`turned`."""
    return turned(pixels, {6: 8, 8: 6}.get(orientation, orientation))


def read_image_header(path: str | Path) -> ImageHeader:
    """Read an image's header.

    Raises:
        BrokenFileError: if the file is missing, is not an image, or is cut off.
    """
    try:
        with open_image(path) as image:
            orientation = orientation_of(image)
            # Pillow itself turns TIFF files, and gives the size afterwards.
            stored = image.size[::-1] if image.format == 'TIFF' and orientation >= 5 else image.size
            header = ImageHeader(*stored, orientation, image.mode in DEEP_MODES)
            if image.format in END_MARKERS and not _has_end_marker(path, *END_MARKERS[image.format]):
                # More data than usual may follow the end marker, so only decoding the pixels can tell.
                image.load()
            return header
    except FileNotFoundError as error:
        raise BrokenFileError(f"The image '{path}' does not exist; put it there or take it out of the list.") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        # Pillow knows few of TIFF's forms.
        if (found := tiff_header(path)) is not None:
            return ImageHeader(found.width, found.height, found.orientation, found.deep)
        raise BrokenFileError(
            f"The image '{path}' is empty, damaged, truncated or not an image ({error}); replace it or take it out of "
            'the list.'
        ) from error


def image_size(path: str | Path, as_stored: bool) -> tuple[int, int]:
    """Width and height of an image, as displayed or as stored.

    Raises:
        BrokenFileError: as :func:`read_image_header`.
    """
    header = read_image_header(path)
    return (header.width, header.height) if as_stored else header.displayed


def _has_end_marker(path: str | Path, marker: bytes, within: int) -> bool:
    with open(path, 'rb') as file:
        size = file.seek(0, 2)
        file.seek(max(size - within, 0))
        return marker in file.read()
