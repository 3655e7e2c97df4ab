"""Maps of segment ids in PNG files, as COCO's panoptic format has them: id = R + 256 G + 256² B."""

from __future__ import annotations

from collections.abc import Collection
from io import BytesIO
from pathlib import Path

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import BrokenFileError, UserError, examples

import numpy as np
from PIL import Image

VOID = 0
"""The id of pixels that belong to no segment."""

MAX_ID = 256**3 - 1

PNG_MARK = b'\x89PNG\r\n\x1a\n'

WRONG_FORMS = {0: 'grey', 3: 'in the colours of a palette', 4: 'grey with transparency'}
"""What PNG's colour types mean that can't hold ids; the others are RGB, 2, and RGBA, 6."""


def read_segment_map(path: str | Path) -> np.ndarray:
    """The segment of every pixel of an image, ``(H, W)`` of 32-bit integers; transparency is ignored.

    Raises:
        BrokenFileError: for a file that is missing or can't be decoded.
        UserError: for one that is not a PNG of 8-bit RGB or RGBA, whose colours would not be the ids.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise BrokenFileError(
            f"The segment map '{path}' can't be read ({error.strerror}); put it there, or correct data_prefix.seg or "
            'the file_name of its annotation.'
        ) from error
    _check_form(content, path)
    try:
        with Image.open(BytesIO(content), formats=['PNG']) as image:
            colours = np.asarray(image)[..., :3].astype(np.int32)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrokenFileError(f"The segment map '{path}' can't be decoded ({error}); export it again.") from error
    return colours @ np.array([1, 256, 256**2], np.int32)


def _check_form(content: bytes, path: str | Path) -> None:
    if not content.startswith(PNG_MARK):
        raise UserError(
            f"The segment map '{path}' is not a PNG; its colours are the ids of the segments, which JPEG and other "
            'formats change: export it as a PNG.'
        )
    # The header is the first chunk of every PNG.
    depth, colour_type = content[24:26] if len(content) > 26 else (8, 2)
    if colour_type in WRONG_FORMS or depth != 8:
        form = WRONG_FORMS.get(colour_type, f'of {depth} bits a channel')
        raise UserError(
            f"The segment map '{path}' is {form}, but COCO's format has RGB of 8 bits a channel, where a segment's id "
            'is R + 256 G + 256 * 256 B; convert it.'
        )


def write_segment_map(path: Path, ids: np.ndarray) -> None:
    """Write ids ``(H, W)``, below ``256 ** 3``, as a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished:
        save_segment_map(unfinished, ids)


def save_segment_map(path: Path, ids: np.ndarray) -> None:
    """As :func:`write_segment_map`, to a folder that nobody uses before it is whole."""
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 256**2], axis=-1).astype(np.uint8)
    Image.fromarray(colours).save(path, format='PNG', compress_level=1)


def check_segments(path: str | Path, ids: np.ndarray, listed: Collection[int], size: tuple[int, int]) -> None:
    """Check that a map fits its image and its annotation.

    Args:
        path: The map's file, for messages.
        ids: The map.
        listed: The ids of the segments in its annotation.
        size: Height and width of the image.

    Raises:
        UserError: for another size, or for segments that the annotation does not list.
    """
    if ids.shape != tuple(size):
        height, width = ids.shape
        raise UserError(
            f"The segment map '{path}' has {width} x {height} pixels, but its image has {size[1]} x {size[0]}; export "
            'the map in the size of the image.'
        )
    present = set(np.unique(ids).tolist()) - {VOID}
    unlisted = sorted(present - {*listed})
    if not unlisted:
        return
    if {_in_other_order(i) for i in present} <= {*listed}:
        raise UserError(
            f"The segment map '{path}' has its channels in the order blue, green, red: its ids are those of the "
            'annotation only when read that way; exchange the channels red and blue.'
        )
    raise UserError(
        f"The segment map '{path}' holds {examples(unlisted)} segments that its annotation does not list in "
        'segments_info; add them there, or give them the colour 0 where nothing is annotated.'
    )


def _in_other_order(number: int) -> int:
    red, green, blue = number % 256, number // 256 % 256, number // 256**2
    return blue + 256 * green + 256**2 * red
