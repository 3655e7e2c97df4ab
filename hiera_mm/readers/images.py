"""The header of an image file (size, EXIF orientation, bit depth), and whether the file is complete."""

from pathlib import Path
from typing import NamedTuple

from hiera_mm.errors import BrokenFileError

from PIL import Image

EXIF_ORIENTATION = 274
"""EXIF's tag for the orientation."""

END_MARKERS = {'JPEG': (b'\xff\xd9', 65536), 'PNG': (b'IEND', 64)}
"""The bytes that end a complete file of a format, and how far from the end of the file they may be: cameras append
data to a JPEG."""


DEEP_MODES = ('I;16', 'I;16B', 'I;16L', 'I', 'F')
"""Pillow's modes with more than 8 bits a channel."""


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


def read_image_header(path: str | Path) -> ImageHeader:
    """Read an image's header.

    Raises:
        BrokenFileError: if the file is missing, is not an image, or is cut off.
    """
    try:
        with Image.open(path) as image:
            orientation = image.getexif().get(EXIF_ORIENTATION, 1)
            if orientation not in range(1, 9):
                orientation = 1
            header = ImageHeader(*image.size, orientation, image.mode in DEEP_MODES)
            if image.format in END_MARKERS and not _has_end_marker(path, *END_MARKERS[image.format]):
                # More data than usual may follow the end marker, so only decoding the pixels can tell.
                image.load()
            return header
    except FileNotFoundError as error:
        raise BrokenFileError(f"The image '{path}' does not exist; put it there or take it out of the list.") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
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
