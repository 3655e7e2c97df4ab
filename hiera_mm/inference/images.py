"""Images as programs hand them over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hiera_mm.errors import UserError

import numpy as np
import PIL.Image
from PIL.Image import Image

Picture = str | Path | np.ndarray | Image
"""A file, an RGB array ``(H, W, 3)`` of unsigned bytes, or a Pillow image."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet's pixels (red, green, blue), by which all published Hieras normalise theirs."""


def one_or_several(compute: Callable[[list], list], given: Any) -> Any:
    """Compute a list of inputs, or a single input as a list of one."""
    if isinstance(given, list | tuple):
        return compute(list(given))
    return compute([given])[0]


def as_rgb(picture: np.ndarray | Image) -> np.ndarray:
    """``(H, W, 3)`` of unsigned bytes.

    Raises:
        UserError: for an array of another form.
    """
    if isinstance(picture, Image):
        return np.array(picture.convert('RGB'))
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape[2:] != (3,):
        form = f'{picture.dtype} {picture.shape}' if isinstance(picture, np.ndarray) else type(picture).__name__
        raise UserError(f'An image must be a path, a Pillow image, or an RGB array (H, W, 3) of uint8, but is {form}.')
    return picture


def as_bgr(picture: np.ndarray | Image) -> np.ndarray:
    """``(H, W, 3)`` of unsigned bytes, as OpenCV and mmdet have it."""
    return np.ascontiguousarray(as_rgb(picture)[..., ::-1])


def read_image(path: str) -> np.ndarray:
    """An image file, RGB ``(H, W, 3)``, turned as its EXIF data say.

    Raises:
        BrokenFileError: for a file that can't be read.
    """
    from hiera_mm.datasets.images import ReadImage  # which needs mmaction, and detectors do not

    return ReadImage().transform(dict(img_path=path))['imgs'][0]


def normalised(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An RGB image resized to height and width and normalised as published Hieras expect it, ``(3, H, W)``."""
    resized = PIL.Image.fromarray(image).resize(size[::-1], PIL.Image.Resampling.BICUBIC)
    pixels = (np.asarray(resized, np.float32) / 255 - MEAN) / DEVIATION
    return pixels.transpose(2, 0, 1).astype(np.float32)
