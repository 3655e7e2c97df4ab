"""What the first bytes of a picture tell: its size, its EXIF orientation, its depth; and whether it ends."""

from pathlib import Path
from typing import NamedTuple

from hiera_mm.errors import BrokenFileError

from PIL import Image

ORIENTATION = 274
"""EXIF's tag."""

ENDINGS = {'JPEG': (b'\xff\xd9', 65536), 'PNG': (b'IEND', 64)}
"""With what files of a format end, and within how many bytes: cameras put more behind a JPEG."""


DEEP_MODES = ('I;16', 'I;16B', 'I;16L', 'I', 'F')
"""Pillow's."""


class Picture(NamedTuple):
    """A picture by its header.

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
        """Width and height after the turn that EXIF asks for."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_picture(path: str | Path) -> Picture:
    """A picture's header.

    Raises:
        BrokenFileError: for a file that is missing, no picture, or cut off.
    """
    try:
        with Image.open(path) as image:
            orientation = image.getexif().get(ORIENTATION, 1)
            picture = Picture(*image.size, orientation if orientation in range(1, 9) else 1, image.mode in DEEP_MODES)
            if image.format in ENDINGS and not _ends(path, *ENDINGS[image.format]):
                # Something unusual may lie behind the end, so the pixels decide.
                image.load()
            return picture
    except FileNotFoundError as error:
        raise BrokenFileError(f"The image '{path}' does not exist; put it there or take it out of the list.") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise BrokenFileError(
            f"The image '{path}' is empty, damaged, truncated or not an image ({error}); replace it or take it out of "
            'the list.'
        ) from error


def shown_size(path: str | Path, as_stored: bool) -> tuple[int, int]:
    """Width and height of a picture as it is displayed, or as it is stored.

    Raises:
        BrokenFileError: as :func:`read_picture`.
    """
    picture = read_picture(path)
    return (picture.width, picture.height) if as_stored else picture.displayed


def _ends(path: str | Path, mark: bytes, within: int) -> bool:
    with open(path, 'rb') as file:
        size = file.seek(0, 2)
        file.seek(max(size - within, 0))
        return mark in file.read()
