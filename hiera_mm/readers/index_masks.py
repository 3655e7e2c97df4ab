"""Images for semantic segmentation and their index masks, whose pixels are class numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hiera_mm.errors import BrokenFileError, UserError, examples, first_few
from hiera_mm.readers.channels import ChannelReader
from hiera_mm.readers.images import ENDINGS as IMAGE_ENDINGS
from hiera_mm.readers.images import open_image
from hiera_mm.readers.text import files_below, read_text

import numpy as np
from PIL import Image

LOSSY_FORMATS = ('JPEG', 'JPEG2000', 'WEBP', 'AVIF')

IGNORED = 255
"""The value of pixels that are neither trained nor scored."""


class Pair(NamedTuple):
    """An image and its mask; the mask is None in a set without masks, such as one for a submission."""

    image: Path
    mask: Path | None


def find_pairs(
    images: str | Path,
    masks: str | Path | None,
    image_ending: str = '',
    mask_ending: str = '.png',
    names: str | Path = '',
    channel_files: Sequence[str] | None = None,
) -> list[Pair]:
    """Pair the images of a folder with the masks of the same names in another folder.

    Args:
        images: Folder of the images, at any depth.
        masks: Folder of the masks, with the same folders inside; None for a set without masks.
        image_ending: Ending of the images' names; if empty, any image format, in upper or lower case.
        mask_ending: Ending of the masks' names.
        names: A file with the names to use, one a line, without endings; if empty, all are used.
        channel_files: If an image has several files, as in :class:`hiera_mm.readers.channels.ChannelReader`: images
            are found by the first file of each, and what its pattern has after the ``*`` is the ending.

    Raises:
        UserError: for a missing folder or file, no images, two images of one name, or images without a mask.
    """
    folder = _existing(images, 'images', 'data_prefix.img_path')
    reader = ChannelReader(len(channel_files), channel_files) if channel_files else None
    image_ending = image_ending or (channel_files[0].rpartition('*')[2] if channel_files else '')
    endings = (image_ending.lower(),) if image_ending and not reader else IMAGE_ENDINGS
    together = masks is not None and Path(masks).resolve() == folder.resolve()
    found: dict[str, Path] = {}
    for path in files_below(folder, endings):
        if together and path.name.endswith(mask_ending) and (not image_ending or channel_files):
            continue
        if reader:
            reader.check_all_fit([path])
            if not reader.is_first(path):
                continue
        name = _name_without_ending(path.relative_to(folder), image_ending)
        if name in found:
            raise UserError(
                f"'{folder}' has two images for one mask, '{found[name].name}' and '{path.name}'; remove one of them, "
                "or set img_suffix to the ending of the images' names."
            )
        found[name] = path
    if not found and channel_files:
        raise UserError(
            f"The folder '{folder}' holds no images of the form '{channel_files[0]}', the first of channel_files; "
            'correct that, or data_prefix.img_path.'
        )
    if not found:
        raise UserError(f"The folder '{folder}' holds no images{_why_no_images(folder, image_ending)}.")
    wanted = _read_names(Path(names), found) if names else sorted(found)
    if masks is None:
        return [Pair(found[name], None) for name in wanted]
    beside = _existing(masks, 'masks', 'data_prefix.seg_map_path')
    # Listing the folder once is faster than checking each file.
    existing = set(files_below(beside, (mask_ending.lower(),)))
    pairs = [_pair(found[name], name, folder, beside, mask_ending, existing) for name in wanted]
    if missing := [str(pair.mask) for pair in pairs if pair.mask and pair.mask not in existing]:
        raise UserError(
            f"{examples(missing)} of the masks are missing, but their images are in '{folder}'; put the masks there, "
            "take the images out, set seg_map_suffix to the ending of the masks' names, or list the names to use in "
            'ann_file.'
        )
    return pairs


def _pair(image: Path, name: str, folder: Path, masks: Path, ending: str, existing: set[Path]) -> Pair:
    """The mask of an image ``a.jpg``: ``a.png``, or as predictions are named ``a.jpg.png``, and of ``a_B02.tif`` with
    the ending ``_B02.tif`` ``a_B02.png``, if only that exists."""
    whole = image.relative_to(folder).as_posix()
    names = dict.fromkeys((name, whole, _name_without_ending(Path(whole), '')))
    paths = [masks / f'{one}{ending}' for one in names]
    return Pair(image, next((path for path in paths if path in existing), paths[0]))


def read_mask(path: str | Path) -> np.ndarray:
    """Read class numbers ``(H, W)`` as unsigned bytes; for an image with a palette, the palette's indices.

    Raises:
        BrokenFileError: if the file is missing, is not an image, or is cut off.
        UserError: for an image in colour, for numbers above 255, and for a format that changes pixels.
    """
    try:
        with open_image(path) as image:
            file_format, mask = image.format, np.asarray(image)
    except FileNotFoundError as error:
        raise BrokenFileError(f"The mask '{path}' does not exist; put it there or correct data_prefix.") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise BrokenFileError(
            f"The mask '{path}' is empty, damaged or not an image ({error}); replace it, or remove it and its image."
        ) from error
    if file_format in LOSSY_FORMATS:
        raise UserError(
            f"The mask '{path}' is a {file_format} file, whose compression changes pixels at the edges of regions into "
            'other classes; save masks as PNG, from their original.'
        )
    if mask.ndim != 2:
        raise UserError(
            f"The mask '{path}' is in colour ({mask.shape[2]} channels), but a mask's pixels are class numbers, in one "
            'channel; convert the colours to numbers.'
        )
    if mask.dtype != bool and mask.dtype.kind not in 'ui':
        raise UserError(f"The mask '{path}' holds {mask.dtype} numbers; save whole numbers from 0 to 255.")
    if mask.size and (mask.max() > IGNORED or mask.min() < 0):
        raise UserError(
            f"The mask '{path}' holds numbers from {mask.min()} to {mask.max()}, but classes are 0 to 254 (255 is "
            'ignored); renumber them.'
        )
    return mask.astype(np.uint8)


def check_mask_size(path: str | Path, mask: np.ndarray, size: Sequence[int]) -> None:
    """Refuse a mask whose size differs from its image's, ``(height, width)``.

    Raises:
        UserError: naming both sizes.
    """
    if mask.shape != tuple(size[:2]):
        turned = mask.shape == tuple(size[:2])[::-1]
        remedy = (
            'EXIF rotates the image: save the mask as the image is displayed'
            if turned
            else 'resize the mask to the image, by its nearest pixels'
        )
        raise UserError(
            f"The mask '{path}' has {mask.shape[1]} x {mask.shape[0]} pixels, but its image {size[1]} x {size[0]}; "
            f'{remedy}.'
        )


def check_mask_values(path: str | Path, mask: np.ndarray, count: int, ignored: int = IGNORED) -> None:
    """Refuse a mask with numbers that are not classes.

    Args:
        path: The mask, for the message.
        mask: Class numbers.
        count: Number of classes.
        ignored: The value of pixels that are left out.

    Raises:
        UserError: naming the numbers.
    """
    values = np.unique(mask)
    if wrong := [int(value) for value in values if value >= count and value not in (ignored, IGNORED)]:
        raise UserError(
            f"The mask '{path}' holds numbers that are not classes: {examples(wrong)}; the {count} classes are 0 to "
            f'{count - 1}, and {ignored} is ignored; correct the mask, name all classes, or leave one number out by '
            f'ignore_index = {wrong[-1]} at the top of the config.'
        )


def check_ignored(ignored: int, classes: Sequence[str]) -> None:
    """Refuse a class whose pixels would all be left out.

    Raises:
        UserError: naming it.
    """
    if ignored < len(classes):
        raise UserError(
            f"ignore_index = {ignored} is the number of the class '{classes[ignored]}', of which nothing would be "
            f'learned; leave ignore_index out, or if what is {ignored} in the masks is no class, write 255 for it '
            'there and number the classes from 0 without it.'
        )


def _existing(folder: str | Path, what: str, key: str) -> Path:
    if not Path(folder).is_dir():
        raise UserError(f"The folder of {what} '{folder}' does not exist; put them there or correct {key}.")
    return Path(folder)


def _name_without_ending(path: Path, ending: str) -> str:
    text = path.as_posix()
    return text[: len(text) - len(ending or path.suffix)]


def _why_no_images(folder: Path, ending: str) -> str:
    """The rest of the sentence about a folder without images: what was looked for, and what is there instead."""
    if not ending:
        return f' ({", ".join(IMAGE_ENDINGS)}); correct data_prefix.img_path'
    others = [path.name for path in files_below(folder, IMAGE_ENDINGS)]
    instead = f', but {len(others)} others ({first_few(others)})' if others else ''
    return f" whose names end in '{ending}'{instead}; set img_suffix to their ending"


def _read_names(path: Path, found: dict[str, Path]) -> list[str]:
    if not path.is_file():
        raise UserError(f"The list of names '{path}' does not exist; put it there or correct ann_file.")
    names = [line.strip() for line in read_text(path, 'list of names').splitlines() if line.strip()]
    if unknown := [name for name in names if name not in found]:
        raise UserError(
            f"{examples(unknown)} of the names in '{path}' are not images of the set (names have no endings); correct "
            'the list or data_prefix.img_path.'
        )
    if not names:
        raise UserError(f"The list of names '{path}' is empty; write a name on each line.")
    return names
