"""Loads images in the orientation and bit depth that their annotations refer to."""

from hiera_mm.errors import BrokenFileError, UserError

import cv2
import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile as PlainLoadImageFromFile
from mmdet.registry import TRANSFORMS
from mmengine import fileio

COLOUR = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
FULL_DEPTH = 16


# Registered in mmdet under mmcv's name, so that every detector's pipeline is checked.
@TRANSFORMS.register_module(name='LoadImageFromFile', force=True)
class LoadImageFromFile(PlainLoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, but it compares the image with the size in its annotation file. If only the stored
    size matches, and not the size after the EXIF rotation, the image is loaded without the rotation.

    Args:
        bit_depth: How many bits are used in images with 16 bits a channel, such as 12; by default all, and an image
            that would then be nearly black is an error.

    Raises:
        BrokenFileError: for an image that is missing or can't be decoded.
        UserError: for an image whose size differs from the annotation file's, or whose bit depth is ambiguous.
    """

    def __init__(self, *args, bit_depth: int | None = None, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.bit_depth = bit_depth

    def transform(self, results: dict) -> dict | None:
        """Add ``img`` ``(height, width, channels)``, ``img_shape`` and ``ori_shape``."""
        path = results['img_path']
        try:
            content = fileio.get(path, backend_args=self.backend_args)
        except FileNotFoundError as error:
            if self.ignore_empty:
                return None
            raise BrokenFileError(
                f"The image '{path}' is missing; put it there, correct data_prefix in the config, or take it out of "
                'the annotation file.'
            ) from error
        image = self._as_annotated(content, results)
        if image is None:
            return None
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _as_annotated(self, content: bytes, results: dict) -> np.ndarray | None:
        path, size = results['img_path'], (results.get('height'), results.get('width'))
        convention = results.get('exif_orientation')
        shown = self._decoded(content, path, turned=convention != 'stored')
        if shown is None or None in size or shown.shape[:2] == size:
            return shown
        stored = None if convention else self._decoded(content, path, turned=False)
        if stored is not None and stored.shape[:2] == size:
            return stored
        height, width = shown.shape[:2]
        raise UserError(
            f"The image '{path}' has {width} x {height} pixels, but the annotation file says {size[1]} x {size[0]}; "
            'correct width and height there (and check that the boxes fit), or use the image that was annotated.'
        )

    def _decoded(self, content: bytes, path: str, turned: bool) -> np.ndarray | None:
        flag = COLOUR if self.color_type == 'color' and self.imdecode_backend == 'cv2' else self.color_type
        if not turned:
            flag = flag | cv2.IMREAD_IGNORE_ORIENTATION if isinstance(flag, int) else f'{flag}_ignore_orientation'
        try:
            image = mmcv.imfrombytes(content, flag=flag, backend=self.imdecode_backend)
        except (cv2.error, OSError, ValueError):
            image = None
        if image is None:
            if self.ignore_empty:
                return None
            raise BrokenFileError(
                f"The image '{path}' can't be decoded; replace the file or take it out of the annotation file."
            )
        return image if image.dtype == np.uint8 or not isinstance(flag, int) else self._in_8_bits(image, path)

    def _in_8_bits(self, image: np.ndarray, path: str) -> np.ndarray:
        if image.dtype != np.uint16:
            raise UserError(
                f"The image '{path}' has {image.dtype} pixels, whose range is unknown; convert it to 8 or 16 bits."
            )
        depth, largest = self.bit_depth or FULL_DEPTH, int(image.max())
        if self.bit_depth is None and 0 < largest < 4096:
            raise UserError(
                f"The image '{path}' has 16 bits a channel, but no value over {largest}, so it would be nearly black; "
                f'set bit_depth={max(largest.bit_length(), 8)} in LoadImageFromFile of the pipelines, or bit_depth=16 '
                'if it is that dark.'
            )
        return np.clip(image >> (depth - 8), 0, 255).astype(np.uint8)
