"""Pictures as programs hand them over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hiera_mm.errors import UserError

import numpy as np
from PIL.Image import Image

Picture = str | Path | np.ndarray | Image
"""A file, an RGB array ``(H, W, 3)`` of unsigned bytes, or a Pillow image."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, red, green, blue, by which all published Hieras normalise theirs."""


def one_or_several(compute: Callable[[list], list], given: Any) -> Any:
    """What is computed of a list, or of one input that is none."""
    if isinstance(given, list | tuple):
        return compute(list(given))
    return compute([given])[0]


def as_rgb(picture: np.ndarray | Image) -> np.ndarray:
    """``(H, W, 3)`` of unsigned bytes.

    Raises:
        UserError: for an array of another form, whose meaning nobody could know.
    """
    if isinstance(picture, Image):
        return np.array(picture.convert('RGB'))
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,):
        form = f'{picture.dtype} {picture.shape}' if isinstance(picture, np.ndarray) else type(picture).__name__
        raise UserError(f'A picture must be a path, a Pillow image, or an RGB array (H, W, 3) of uint8, but is {form}.')
    return picture


def as_bgr(picture: np.ndarray | Image) -> np.ndarray:
    """``(H, W, 3)`` of unsigned bytes, as OpenCV and mmdet have it."""
    return np.ascontiguousarray(as_rgb(picture)[..., ::-1])
