"""Loads images in the orientation and bit depth that their annotations refer to."""

from collections.abc import Sequence
from io import BytesIO

from hiera_mm.errors import BrokenFileError, UserError, first_line
from hiera_mm.readers.channels import ChannelReader, channel_reader, decode_channels
from hiera_mm.readers.images import eight_bits, open_image, orientation_of, rgb_pixels, turned_back
from hiera_mm.readers.images import turned as as_displayed
from hiera_mm.readers.tiff import MARKS as TIFF_MARKS
from hiera_mm.readers.tiff import refuse_more_bands

import cv2
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile as PlainLoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmengine import fileio
from PIL import Image

GIVEN = 'given'
"""The name of an image that is given by its content."""

COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH


# Registered in mmdet under mmcv's name, so that every detector's pipeline is checked.
@TRANSFORMS.register_module(name='LoadImageFromFile', force=True)
class LoadImageFromFile(PlainLoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, but it compares the image with the size in its annotation file. If only the stored
    size matches, and not the size after the EXIF rotation, the image is loaded without the rotation.

    Args:
        bit_depth: How many bits are used in images with 16 bits a channel, such as 12; by default all, and an image
            that would then be nearly black is an error.
        channels: Channels of an image. Other than 3 are loaded in the file's order and, where they have more than 8
            bits, as the file's own numbers.
        channel_files: As ``files`` of :class:`hiera_mm.readers.channels.ChannelReader`.

    Raises:
        BrokenFileError: for an image that is missing or can't be decoded.
        UserError: for an image whose size differs from the annotation file's, whose bit depth is ambiguous, or that
            has other channels.
    """

    def __init__(
        self,
        *args,
        bit_depth: int | None = None,
        channels: int = 3,
        channel_files: Sequence[str] | None = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.bit_depth = bit_depth
        self.reader = channel_reader(channels, channel_files)

    def transform(self, results: dict) -> dict | None:
        """Add ``img`` ``(height, width, channels)``, ``img_shape`` and ``ori_shape``."""
        content = self._content(results['img_path'])
        image = None if content is None else self._as_annotated(content, results)
        if image is None:
            return None
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _content(self, path: str) -> bytes | None:
        """A file's content; None for a missing one if ``ignore_empty``."""
        try:
            return fileio.get(path, backend_args=self.backend_args)
        except FileNotFoundError as error:
            if self.ignore_empty:
                return None
            raise BrokenFileError(
                f"The image '{path}' is missing; correct its path, in a data set data_prefix or its annotation file."
            ) from error
        except (OSError, KeyError) as error:
            # A folder, an address that does not answer or has no reader, a file of another user.
            reason = first_line(str(error)) or type(error).__name__
            raise BrokenFileError(f"The image '{path}' can't be read ({reason}); correct its path.") from error

    def _as_annotated(self, content: bytes, results: dict) -> np.ndarray | None:
        path, size = results['img_path'], (results.get('height'), results.get('width'))
        convention = results.get('exif_orientation')
        shown = self.decode(content, path, turned=convention != 'stored')
        if shown is None or None in size or shown.shape[:2] == size:
            return shown
        stored = None if convention else self.decode(content, path, turned=False)
        if stored is not None and stored.shape[:2] == size:
            return stored
        height, width = shown.shape[:2]
        raise UserError(
            f"The image '{path}' has {width} x {height} pixels, but the annotation file says {size[1]} x {size[0]}; "
            'correct width and height there (and check that the boxes fit), or use the image that was annotated.'
        )

    def decode(self, content: bytes, path: str, turned: bool = True) -> np.ndarray | None:
        """The pixels of a file's content, BGR ``(height, width, 3)`` or other channels in the file's order, turned by
        EXIF or as stored; None for a broken file if ``ignore_empty``.

        Raises:
            BrokenFileError, UnclearFileError: as :meth:`transform`.
        """
        if self.reader is not None:
            return self._channels(self.reader, content, path, turned)
        if content[:4] in TIFF_MARKS:
            refuse_more_bands(BytesIO(content), path)
        # OpenCV turns JPEG and PNG files; Pillow, which reads the orientation of all formats, turns TIFF files.
        if content[:4] in TIFF_MARKS and (orientation := _orientation(content)) != 1:
            shown = self._decoded_by_pillow(content, path)
            return np.ascontiguousarray(shown if turned else turned_back(shown, orientation))
        image = self._decoded_by_backend(content, turned)
        if image is None:
            if self.ignore_empty:
                return None
            # Pillow reads more formats, and says what is wrong with the others.
            shown = self._decoded_by_pillow(content, path)
            return np.ascontiguousarray(as_displayed(shown, _orientation(content)) if turned else shown)
        deep = self._asks_for_all_bits and image.dtype != np.uint8
        image = eight_bits(image, path, self.bit_depth) if deep else image
        if turned and image is not None and (content[8:12] == b'WEBP' or content[4:8] == b'ftyp'):
            return np.ascontiguousarray(as_displayed(image, _orientation(content)))
        return image

    def _channels(self, reader: ChannelReader, content: bytes, path: str, turned: bool) -> np.ndarray:
        def load(part: str) -> bytes:
            return content if part == path else self._content(part) or b''

        # Without a path there is one file.
        if path == GIVEN:
            pixels = reader.checked(decode_channels(content, path, turned), path)
        else:
            pixels = reader.read(path, load, turned)
        # All steps take three channels for blue, green and red.
        return np.ascontiguousarray(pixels[..., ::-1]) if reader.count == 3 else pixels

    @property
    def _asks_for_all_bits(self) -> bool:
        return self.color_type == 'color' and self.imdecode_backend == 'cv2'

    def _decoded_by_pillow(self, content: bytes, path: str) -> np.ndarray:
        try:
            with open_image(BytesIO(content)) as image:
                return rgb_pixels(image, path, self.bit_depth)[..., ::-1]
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise BrokenFileError(
                f"The image '{path}' can't be decoded ({error}); replace it, or take it out of the inputs."
            ) from error

    def _decoded_by_backend(self, content: bytes, turned: bool) -> np.ndarray | None:
        flag = COLOUR if self._asks_for_all_bits else self.color_type
        if not turned:
            flag = flag | cv2.IMREAD_IGNORE_ORIENTATION if isinstance(flag, int) else f'{flag}_ignore_orientation'
        try:
            return mmcv.imfrombytes(content, flag=flag, backend=self.imdecode_backend)
        except (cv2.error, OSError, ValueError):
            return None


def _orientation(content: bytes) -> int:
    """The EXIF orientation of an image file, 1 if it has none or can't be read."""
    try:
        with open_image(BytesIO(content)) as image:
            return orientation_of(image)
    except (OSError, SyntaxError, ValueError):
        return 1
