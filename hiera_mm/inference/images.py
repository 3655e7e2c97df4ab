"""Images as inputs of predictors."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from hiera_mm.errors import BrokenFileError, UserError
from hiera_mm.readers.channels import ChannelReader, as_numbers, channel_reader, pixels_of, visible
from hiera_mm.readers.images import orientation_of, rgb_pixels, turned

import numpy as np
import PIL.Image
from PIL.Image import Image
from torch import Tensor

ImageInput = str | Path | bytes | BinaryIO | np.ndarray | Tensor | Image
"""A file by its path, its content or an open handle; a Pillow image; RGB of unsigned bytes as an array ``(H, W, 3)`` or
a tensor ``(3, H, W)``; for models of other channels, numbers ``(H, W, channels)`` or ``(channels, H, W)``."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet's pixels (red, green, blue), used by all published Hieras."""


def one_or_several(compute: Callable[[list], list], given: Any) -> Any:
    """Call a function that takes a list, for a list or a single input."""
    if isinstance(given, list | tuple):
        return compute(list(given)) if given else []
    return compute([given])[0]


def content_of(image: ImageInput) -> bytes | None:
    """The content of a file given as bytes or by a handle; None for anything else."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    return image.read() if hasattr(image, 'read') and not isinstance(image, Image) else None


def as_rgb(image: ImageInput, turn: bool, bit_depth: int | None = None) -> np.ndarray:
    """Convert an image in memory to an RGB array ``(H, W, 3)`` of unsigned bytes.

    Args:
        image: A Pillow image, an array or a tensor.
        turn: Whether to turn a Pillow image as its EXIF data ask for.
        bit_depth: As for :func:`hiera_mm.readers.images.eight_bits`.

    Raises:
        UserError: for an array or tensor of another shape or type.
        BrokenFileError: for a Pillow image whose file is damaged.
    """
    if isinstance(image, Image):
        try:
            _load(image)
        except (OSError, SyntaxError, ValueError) as error:
            raise BrokenFileError(f'The given image is damaged or truncated ({error}); replace it.') from error
        loaded = rgb_pixels(image, 'given', bit_depth)
        return turned(loaded, orientation_of(image)) if turn else loaded
    pixels: Any = image
    if isinstance(image, Tensor) and image.ndim == 3:
        pixels = image.detach().cpu().permute(1, 2, 0).numpy()
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.shape[2:] != (3,) or not pixels.size:
        form = f'{image.dtype} {tuple(image.shape)}' if hasattr(image, 'dtype') else type(image).__name__  # type: ignore
        raise UserError(
            'An image must be a path, the content of a file, a Pillow image, or RGB of uint8 as an array (H, W, 3) or '
            f'a tensor (3, H, W), but is {form}.'
        )
    return pixels


def _load(image: Image) -> None:
    """Read the file of a Pillow image that is not loaded yet; Pillow itself turns TIFF files then."""
    name = getattr(image, 'filename', '')
    # As in open_image.
    image.filename = ''  # type: ignore[attr-defined]
    try:
        image.load()
    finally:
        image.filename = name  # type: ignore[attr-defined]


def as_channels(image: ImageInput, reader: ChannelReader, turn: bool) -> np.ndarray:
    """Convert an image in memory to an array ``(H, W, channels)``.

    Args:
        image: A Pillow image, an array or a tensor.
        reader: Knows how many channels there must be.
        turn: Whether to turn a Pillow image as its EXIF data ask for.

    Raises:
        UserError: for something else, or another number of channels.
    """
    pixels: Any = image
    if isinstance(image, Image):
        pixels = pixels_of(image)
        pixels = turned(pixels, orientation_of(image)) if turn else pixels
    elif isinstance(image, Tensor) and image.ndim == 3:
        pixels = image.detach().cpu().permute(1, 2, 0).numpy()
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 3 or not pixels.size:
        raise UserError(
            f'An image must be a path, a Pillow image, an array (H, W, {reader.count}) or a tensor ({reader.count}, H, '
            f'W), but is {type(image).__name__}.'
        )
    return reader.checked(as_numbers(pixels, 'given'), 'given')


def read_image(path: str, loading: Mapping[str, Any] | None = None) -> np.ndarray:
    """Read an image file as RGB ``(H, W, 3)``, as stored.

    Args:
        path: The file.
        loading: The step of a config that loads it; of other channels than red, green and blue it gives those that are
            drawn.

    Raises:
        BrokenFileError: for a file that can't be read.
    """
    from hiera_mm.datasets.images import ReadImage  # imported here, since it needs mmaction and detectors do not

    step = loading or {}
    if (reader := channel_reader(step.get('channels', 3), step.get('channel_files'))) is not None:
        return visible(reader.read(path))
    return ReadImage().transform(dict(img_path=path))['imgs'][0]


def normalised(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an RGB image to height and width, and normalise it as published Hieras expect, ``(3, H, W)``."""
    resized = PIL.Image.fromarray(image).resize(size[::-1], PIL.Image.Resampling.BICUBIC)
    pixels = (np.asarray(resized, np.float32) / 255 - MEAN) / DEVIATION
    return pixels.transpose(2, 0, 1).astype(np.float32)


def reader_of(built: Any) -> ChannelReader | None:
    """The reader of a built data set's images; None for red, green and blue in one file."""
    steps = getattr(getattr(built, 'pipeline', None), 'transforms', ())
    return getattr(steps[0], 'reader', None) if steps else None
