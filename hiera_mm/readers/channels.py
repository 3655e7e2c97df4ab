"""Images of any number of channels, such as satellites' bands or colour and depth, from one file or from several."""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from hiera_mm.errors import BrokenFileError, UnclearFileError, UserError, examples, first_few
from hiera_mm.readers.images import DEEP_MODES, open_image, orientation_of, turned
from hiera_mm.readers.tiff import is_tiff, read_tiff

import cv2
import numpy as np
from PIL import Image

COUNTED_MODES = dict(L=1, LA=2, RGB=3, RGBA=4)
"""Pillow's modes whose bytes are channels; others, such as palettes, are read as red, green and blue."""

FROM_OPENCV = dict(L=[0], LA=[0, 3], RGB=[2, 1, 0], RGBA=[2, 1, 0, 3])
"""Where OpenCV, which has blue first and makes two channels four, puts the channels of a mode."""

PNG_MARK, PNG_GREY_ALPHA = b'\x89PNG', 4

LOADERS = ('LoadImageFromFile', 'ReadImage')
"""The steps of pipelines that load images."""

LOW, HIGH = 1, 99
"""Percentiles of pixels that are shown as black and white."""


class ChannelReader:
    """Reads images of ``count`` channels.

    Args:
        count: Channels of an image.
        files: If the channels of an image lie in several files: a pattern for each file, in the order of the channels.
            Each is the end of a path with one ``*`` for what the files of an image share, such as
            ``('rgb/*.jpg', 'depth/*.png')`` or ``('*_B02.tif', '*_B03.tif')``; the first is that of the files which
            the data set names.

    Raises:
        UserError: for patterns without one ``*`` each, that leave the images' folder, or less than two different ones.
    """

    def __init__(self, count: int, files: Sequence[str] | None = None) -> None:
        self.count, self.files = count, tuple(files or ())
        wrong = [pattern for pattern in self.files if not is_pattern(pattern)]
        if wrong or (files is not None and len(set(self.files)) < max(2, len(self.files))):
            raise UserError(
                f'channel_files = {files!r} must name at least two different files of an image, each as the end of its '
                "path, without '..', and with one '*' for what they share, such as ('rgb/*.jpg', 'depth/*.png')."
            )

    def is_first(self, path: str | Path) -> bool:
        """Whether a file is the one by which an image is named."""
        return not self.files or self._place_of(path) == 0

    def check_all_fit(self, paths: Sequence[str | Path]) -> None:
        """Refuse files that are of none of the forms, and would be left out.

        Raises:
            UserError: naming some.
        """
        if self.files and (others := [str(path) for path in paths if self._place_of(path) is None]):
            raise UserError(
                f'{examples(others)} of the images are of none of the forms {first_few(self.files)} of channel_files; '
                'correct channel_files or the names, or take these files out of the folder.'
            )

    def paths_of(self, path: str | Path) -> list[str]:
        """The files of an image, by the first one.

        Raises:
            UserError: if the first one's path has not the pattern's form.
        """
        if not self.files:
            return [str(path)]
        found = self._match(0, path)
        if found is None or not self.is_first(path):
            raise UserError(
                f"The image '{path}' is not of the form '{self.files[0]}', by which channel_files names the first file "
                'of each image; correct channel_files, or the names of the images.'
            )
        before, shared = found.groups()
        return [before + pattern.replace('*', shared) for pattern in self.files]

    def read(
        self, path: str | Path, load: Callable[[str], bytes] | None = None, as_displayed: bool = True
    ) -> np.ndarray:
        """Read an image's channels in their order.

        Args:
            path: Its first file.
            load: Loads a file's content; by default from the disk.
            as_displayed: Whether to turn the image as EXIF asks for.

        Returns:
            ``(H, W, count)``: unsigned bytes, or for files with more bits their numbers as float32.

        Raises:
            BrokenFileError: for a file that is missing or can't be decoded.
            UnclearFileError: for numbers that are not finite, for stacks along depth or time, and for files that EXIF
                turns differently.
            UserError: for another number of channels, and for files of different sizes.
        """
        paths = self.paths_of(path)
        decoded = [self._decoded(part, paths[0], load or _content_of) for part in paths]
        turns = {orientation for _, orientation in decoded}
        if len(turns) > 1:
            raise UnclearFileError(
                f"EXIF turns some files of the image '{paths[0]}' and not the others, so it can't be told how they fit "
                'together; save all as they are displayed, without EXIF data.'
            )
        parts = [turned(pixels, turn) if as_displayed else pixels for pixels, turn in decoded]
        for part, pixels in zip(paths, parts, strict=True):
            if pixels.shape[:2] != parts[0].shape[:2]:
                (height, width), (first_height, first_width) = pixels.shape[:2], parts[0].shape[:2]
                raise UserError(
                    f"The files of one image must have the same size, but '{part}' has {width} x {height} pixels and "
                    f"'{paths[0]}' {first_width} x {first_height}; resample them onto one grid."
                )
        each = [f'{pixels.shape[2]} in {part}' for part, pixels in zip(paths, parts, strict=True)]
        return self.checked(np.concatenate(parts, axis=2), path, f' ({", ".join(each)})' if len(each) > 1 else '')

    def checked(self, pixels: np.ndarray, name: str | Path, where: str = '') -> np.ndarray:
        """The pixels, if they have ``count`` channels; ``where`` follows their number in the message.

        Raises:
            UserError: if they have not.
        """
        if pixels.shape[2] != self.count:
            found = pixels.shape[2]
            raise UserError(
                f"The image '{name}' has {found} channel{'s' * (found > 1)}{where}, but the config says channels = "
                f'{self.count}; set channels = {found} at the top of the config if all images have that many, or '
                'replace this image.'
            )
        return pixels

    def _decoded(self, part: str, first: str, load: Callable[[str], bytes]) -> tuple[np.ndarray, int]:
        try:
            content = load(part)
        except BrokenFileError as error:
            if part == first:
                raise
            raise BrokenFileError(
                f"The file '{part}', which channel_files names for the image '{first}', is missing or can't be read; "
                'put it there, correct channel_files, or take the image out.'
            ) from error
        return decode_stored(content, part)

    def _place_of(self, path: str | Path) -> int | None:
        """Which of an image's files a path is: of the forms that it has, the one that says most."""
        fitting = [place for place in range(len(self.files)) if self._match(place, path)]
        return max(fitting, key=lambda place: len(self.files[place]), default=None)

    def _match(self, place: int, path: str | Path) -> re.Match | None:
        form, text = self._forms[place], _with_slashes(path)
        # Inside the folder that a pattern begins with, relative paths lack it.
        return form.fullmatch(text) or form.fullmatch(_with_slashes(os.path.abspath(text)))

    @cached_property
    def _forms(self) -> list[re.Pattern]:
        return [_form_of(*pattern.split('*')) for pattern in self.files]


def _form_of(before: str, after: str) -> re.Pattern:
    # A folder's whole name, or whatever precedes a pattern that begins with '*'.
    above = '((?:.*/)?)' if before else '()'
    # Cameras write .JPG, other programs .jpg.
    return re.compile(f'{above}{re.escape(before)}(.+)(?i:{re.escape(after)})')


def is_pattern(text: str) -> bool:
    """Whether a text is a pattern of :class:`ChannelReader`, which stays below the folder that an image's path begins
    with."""
    return text.count('*') == 1 and '..' not in Path(text).parts and not text.startswith('/') and ':' not in text


def channel_reader(channels: int, channel_files: Sequence[str] | None) -> ChannelReader | None:
    """The reader of images that are not three channels in one file; None for those.

    Raises:
        UserError: as :class:`ChannelReader`.
    """
    return None if channels == 3 and channel_files is None else ChannelReader(channels, channel_files)


def loading_step(pipeline: Sequence[Any] | None) -> Mapping[str, Any]:
    """The first step of a pipeline in a config, if that loads images; empty otherwise."""
    first = pipeline[0] if pipeline else None
    loads = isinstance(first, Mapping) and str(first.get('type')).rpartition('.')[2] in LOADERS
    return first if isinstance(first, Mapping) and loads else {}


def decode_channels(content: bytes, name: str | Path, as_displayed: bool = True) -> np.ndarray:
    """All channels of an image file, in the order in which they are stored.

    Args:
        content: The file's content.
        name: Its path, for messages.
        as_displayed: Whether to turn the image as EXIF asks for.

    Returns:
        ``(H, W, channels)``: unsigned bytes, or for files with more bits their numbers as float32. Palettes, CMYK and
        other codes of colours are red, green and blue.

    Raises:
        BrokenFileError, UnclearFileError, UserError: as :meth:`ChannelReader.read`.
    """
    numbers, orientation = decode_stored(content, name)
    return np.ascontiguousarray(turned(numbers, orientation) if as_displayed else numbers)


def decode_stored(content: bytes, name: str | Path) -> tuple[np.ndarray, int]:
    """As :func:`decode_channels`, as stored, and EXIF's orientation."""
    found = read_tiff(content, name) if is_tiff(content) else None
    pixels, orientation = found or _by_pillow(content, name)
    return as_numbers(pixels, name), orientation


def pixels_of(image: Image.Image) -> np.ndarray:
    """The channels of a Pillow image as stored, ``(H, W, channels)``."""
    if image.mode in DEEP_MODES:
        return np.array(image)[..., None]
    if image.mode == '1':
        return np.array(image.convert('L'))[..., None]
    pixels = np.array(image if image.mode in COUNTED_MODES else image.convert('RGB'))
    return pixels.reshape(*pixels.shape[:2], -1)


def visible(pixels: np.ndarray) -> np.ndarray:
    """Channels ``(H, W, channels)`` as an RGB image ``(H, W, 3)`` of unsigned bytes for drawings: the first three, or
    of less the first one; other numbers than bytes are scaled between their first and last percentiles."""
    shown = pixels[..., :3] if pixels.shape[2] >= 3 else np.repeat(pixels[..., :1], 3, axis=2)
    if shown.dtype == np.uint8:
        return np.ascontiguousarray(shown)
    low, high = np.percentile(shown, (LOW, HIGH))
    return (np.clip((shown - low) / max(high - low, 1e-12), 0, 1) * 255).astype(np.uint8)


def _by_pillow(content: bytes, name: str | Path) -> tuple[np.ndarray, int]:
    try:
        with open_image(BytesIO(content)) as image:
            deep = _deep_colours(content, image.mode) if image.mode in COUNTED_MODES else None
            return (pixels_of(image) if deep is None else deep), orientation_of(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrokenFileError(
            f"The image '{name}' can't be decoded ({error}); replace it, or take it out of the inputs."
        ) from error


def _deep_colours(content: bytes, mode: str) -> np.ndarray | None:
    """The pixels of a file with 16 bits in each of several channels, which Pillow reduces to 8; None for others."""
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if pixels is None or pixels.dtype == np.uint8 or pixels.ndim != 3:
        return None
    # Pillow knows no grey and transparency of 16 bits.
    grey = content.startswith(PNG_MARK) and content[25] == PNG_GREY_ALPHA
    return pixels[..., FROM_OPENCV['LA' if grey else mode]]


def as_numbers(pixels: np.ndarray, name: str | Path) -> np.ndarray:
    """Bytes as they are, truth values as 0 and 255, other numbers as float32.

    Raises:
        UnclearFileError: for complex numbers and others, and for numbers that are not finite.
    """
    if pixels.dtype == bool:
        return pixels.astype(np.uint8) * 255
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind not in 'uif':
        raise UnclearFileError(f"The image '{name}' holds {pixels.dtype} numbers; save real ones, one a channel.")
    numbers = pixels.astype(np.float32)
    if not np.isfinite(numbers).all():
        raise UnclearFileError(
            f"The image '{name}' holds numbers that are not finite, as where a sensor has no data; replace them, such "
            'as by 0.'
        )
    return numbers


def _content_of(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise BrokenFileError(
            f"The image file '{path}' is missing or can't be read; correct its path, channel_files, or the list."
        ) from error


def _with_slashes(path: str | Path) -> str:
    return str(path).replace('\\', '/')
