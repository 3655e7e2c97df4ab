"""Masks of semantic segmentation: pictures whose pixels are the numbers of classes, and the photographs beside them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hiera_mm.errors import BrokenFileError, UserError, examples
from hiera_mm.readers.text import files_below, read_text

import numpy as np
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

IGNORED = 255
"""The value of pixels that are neither trained nor scored."""


class Pair(NamedTuple):
    """A photograph and its mask; no mask where there are no masks at all, as for a submission."""

    picture: Path
    mask: Path | None


def find_pairs(
    pictures: str | Path,
    masks: str | Path | None,
    picture_ending: str = '',
    mask_ending: str = '.png',
    names: str | Path = '',
) -> list[Pair]:
    """The photographs of a folder with the masks of the same names in another one.

    Args:
        pictures: Folder of the photographs, at any depth.
        masks: Folder of the masks, with the same folders inside; None for a set without masks.
        picture_ending: What photographs' names end in; empty: as pictures' names do, in upper or lower case.
        mask_ending: What masks' names end in.
        names: A file with a name on each line, without endings, of those to take; empty: all.

    Raises:
        UserError: for a missing folder or file, for no pictures, two of one name, and pictures without a mask.
    """
    folder = _existing(pictures, 'pictures', 'data_prefix.img_path')
    endings = (picture_ending.lower(),) if picture_ending else IMG_EXTENSIONS
    together = masks is not None and Path(masks).resolve() == folder.resolve()
    found: dict[str, Path] = {}
    for path in files_below(folder, endings):
        if together and path.name.endswith(mask_ending) and not picture_ending:
            continue
        name = _name(path.relative_to(folder), picture_ending)
        if name in found:
            raise UserError(
                f"'{folder}' has two pictures for one mask, '{found[name].name}' and '{path.name}'; remove one of "
                'them, or set img_suffix to what names of pictures end in.'
            )
        found[name] = path
    if not found:
        raise UserError(f"The folder '{folder}' holds no pictures{_others(folder, picture_ending)}.")
    wanted = _listed(Path(names), found) if names else sorted(found)
    if masks is None:
        return [Pair(found[name], None) for name in wanted]
    beside = _existing(masks, 'masks', 'data_prefix.seg_map_path')
    pairs = [Pair(found[name], beside / f'{name}{mask_ending}') for name in wanted]
    # Listed once, which is faster than to ask for each.
    there = set(files_below(beside, (mask_ending.lower(),)))
    if absent := [str(pair.mask) for pair in pairs if pair.mask and pair.mask not in there]:
        raise UserError(
            f"{examples(absent)} of the masks are missing, but their pictures are in '{folder}'; put the masks there, "
            'take the pictures out, set seg_map_suffix to what the names of masks end in, or list the names to use in '
            'ann_file.'
        )
    return pairs


def read_mask(path: str | Path) -> np.ndarray:
    """The numbers of classes ``(H, W)``, unsigned bytes; of a picture with a palette its indices.

    Raises:
        BrokenFileError: for a file that is missing, no picture, or cut off.
        UserError: for a picture in colour, and for numbers over 255.
    """
    try:
        with Image.open(path) as image:
            mask = np.asarray(image)
    except FileNotFoundError as error:
        raise BrokenFileError(f"The mask '{path}' does not exist; put it there or correct data_prefix.") from error
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise BrokenFileError(
            f"The mask '{path}' is empty, damaged or no picture ({error}); replace it or remove it and its picture."
        ) from error
    if mask.ndim != 2:
        raise UserError(
            f"The mask '{path}' is in colour ({mask.shape[2]} channels), but a mask's pixels are the numbers of "
            'classes, in one channel; convert the colours to numbers.'
        )
    if mask.dtype != bool and mask.dtype.kind not in 'ui':
        raise UserError(f"The mask '{path}' holds {mask.dtype} numbers; save whole numbers from 0 to 255.")
    if mask.size and (mask.max() > IGNORED or mask.min() < 0):
        raise UserError(
            f"The mask '{path}' holds numbers from {mask.min()} to {mask.max()}, but classes are 0 to 254 (255 is "
            'ignored); number them anew.'
        )
    return mask.astype(np.uint8)


def must_have_size(path: str | Path, mask: np.ndarray, size: Sequence[int]) -> None:
    """Refuse a mask of another size than its picture's, ``(height, width)``.

    Raises:
        UserError: with both sizes.
    """
    if mask.shape != tuple(size[:2]):
        turned = mask.shape == tuple(size[:2])[::-1]
        hint = 'which EXIF turns: save it as it is displayed' if turned else 'such as by its nearest pixels'
        raise UserError(
            f"The mask '{path}' has {mask.shape[1]} x {mask.shape[0]} pixels, but its picture {size[1]} x {size[0]}; "
            f'bring one to the size of the other ({hint}).'
        )


def must_be_classes(path: str | Path, mask: np.ndarray, count: int, ignored: int = IGNORED) -> None:
    """Refuse numbers that no class has.

    Args:
        path: Of the mask, for the message.
        mask: Numbers of classes.
        count: Of the classes.
        ignored: The number of pixels that are left out.

    Raises:
        UserError: naming them.
    """
    held = np.unique(mask)
    if wrong := [int(value) for value in held if value >= count and value != ignored]:
        raise UserError(
            f"The mask '{path}' holds {examples(wrong)} of numbers that no class has: the {count} classes are 0 to "
            f'{count - 1}, and {ignored} is ignored; correct the mask, or name all classes.'
        )


def _existing(folder: str | Path, what: str, key: str) -> Path:
    if not Path(folder).is_dir():
        raise UserError(f"The folder of {what} '{folder}' does not exist; put them there or correct {key}.")
    return Path(folder)


def _name(path: Path, ending: str) -> str:
    text = path.as_posix()
    return text[: len(text) - len(ending or path.suffix)]


def _others(folder: Path, ending: str) -> str:
    """What is there instead."""
    if not ending:
        return f' ({", ".join(IMG_EXTENSIONS)}); correct data_prefix.img_path'
    others = files_below(folder, IMG_EXTENSIONS)
    there = f', but {examples([path.name for path in others])} others' if others else ''
    return f" whose names end in '{ending}'{there}; set img_suffix to what they end in"


def _listed(path: Path, found: dict[str, Path]) -> list[str]:
    if not path.is_file():
        raise UserError(f"The list of names '{path}' does not exist; put it there or correct ann_file.")
    names = [line.strip() for line in read_text(path, 'list of names').splitlines() if line.strip()]
    if absent := [name for name in names if name not in found]:
        raise UserError(
            f"{examples(absent)} of the names in '{path}' are no pictures of the set (names have no endings); correct "
            'the list or data_prefix.img_path.'
        )
    if not names:
        raise UserError(f"The list of names '{path}' is empty; write a name on each line.")
    return names
