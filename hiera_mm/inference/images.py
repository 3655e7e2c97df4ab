"""Images as inputs of predictors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.readers.images import rgb_pixels

import numpy as np
import PIL.Image
from PIL.Image import Image

ImageInput = str | Path | np.ndarray | Image
"""A file, an RGB array ``(H, W, 3)`` of unsigned bytes, or a Pillow image."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet's pixels (red, green, blue), used by all published Hieras."""


def one_or_several(compute: Callable[[list], list], given: Any) -> Any:
    """Call a function that takes a list, for a list or a single input."""
    if isinstance(given, list | tuple):
        return compute(list(given))
    return compute([given])[0]


def as_rgb(image: np.ndarray | Image) -> np.ndarray:
    """Convert to an RGB array ``(H, W, 3)`` of unsigned bytes.

    Raises:
        UserError: for an array of another shape or type.
    """
    if isinstance(image, Image):
        return rgb_pixels(image, 'given')
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape[2:] != (3,):
        form = f'{image.dtype} {image.shape}' if isinstance(image, np.ndarray) else type(image).__name__
        raise UserError(f'An image must be a path, a Pillow image, or an RGB array (H, W, 3) of uint8, but is {form}.')
    return image


def as_bgr(image: np.ndarray | Image) -> np.ndarray:
    """Convert to a BGR array ``(H, W, 3)`` of unsigned bytes, the order of OpenCV and mmdet."""
    return np.ascontiguousarray(as_rgb(image)[..., ::-1])


def read_image(path: str) -> np.ndarray:
    """Read an image file as RGB ``(H, W, 3)``, as stored.

    Raises:
        BrokenFileError: for a file that can't be read.
    """
    from hiera_mm.datasets.images import ReadImage  # imported here, since it needs mmaction and detectors do not

    return ReadImage().transform(dict(img_path=path))['imgs'][0]


def normalised(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an RGB image to height and width, and normalise it as published Hieras expect, ``(3, H, W)``."""
    resized = PIL.Image.fromarray(image).resize(size[::-1], PIL.Image.Resampling.BICUBIC)
    pixels = (np.asarray(resized, np.float32) / 255 - MEAN) / DEVIATION
    return pixels.transpose(2, 0, 1).astype(np.float32)
