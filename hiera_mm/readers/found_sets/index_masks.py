"""Finds images with a mask of classes each, in folders beside each other or in one folder."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from hiera_mm.errors import BrokenFileError, UserError, examples
from hiera_mm.readers.class_names import read_class_names
from hiera_mm.readers.found_sets.class_folders import sides_of
from hiera_mm.readers.found_sets.folder import NAME_FILES, USES, Folder, part_named_in
from hiera_mm.readers.found_sets.found import FoundPart, FoundSets, account_of, shared_inputs, with_validation
from hiera_mm.readers.images import open_image
from hiera_mm.readers.index_masks import IGNORED, read_mask
from hiera_mm.readers.text import read_text

import numpy as np
from PIL import Image
from rich.progress import track

MASK_ENDINGS = ('.png', '.bmp', '.tif', '.tiff', '.gif')
"""Endings of masks, whose formats keep every pixel."""

MASK_WORD = re.compile(r'mask|label|annot|segment|ground.?truth|(?:^|[^a-z])(?:gt|seg|ann)(?:[^a-z]|$)', re.IGNORECASE)
"""What the name of a folder of masks contains, or what follows the image's name in that of a mask."""

MOST_GAPS = 2
"""Numbers of classes without names are kept, unless fewer than one in so many occurs."""

Colour = tuple[int, int, int]


class Named(NamedTuple):
    """What a file says of the classes: their names by number, or by colour."""

    numbers: dict[int, str]
    colours: dict[Colour, str]


def has_masks(folder: Folder) -> bool:
    """Whether there are at least two images with a mask, or one if there are no other images."""
    pairs = _pairs(folder)
    return len(pairs) > 1 or (len(pairs) == 1 and len(folder.images) == 2)


def find_masks(folder: Folder, out: Path) -> FoundSets:
    """Find images with masks; lists of their names, and masks whose pixels are no class numbers yet, are written to
    ``out``.

    Raises:
        UserError: for masks that can't be read, and for numbers or colours that no class has.
    """
    pairs = _pairs(folder)
    if not pairs:
        raise UserError(
            f"'{folder.root}' holds no images with masks; put each mask under the name of its image into a folder "
            'beside that of the images, such as images/1.jpg and masks/1.png.'
        )
    parts = with_validation(_by_part(folder, pairs), folder)
    names, convert = _classes(folder, list(pairs.values()))
    if convert is None and not all(_lie_alike(images, pairs) for images in parts.values()):
        convert = Conversion({number: number for number in range(IGNORED + 1)})
    masks = {image: _converted(image, mask, convert, folder, out) for image, mask in pairs.items()}
    found = {part: _part(part, images, masks, folder, out) for part, images in parts.items()}
    endings = {_ending(image, masks[image]) for images in parts.values() for image in images}
    if len(endings) > 1:
        raise UserError(
            f"The names of the masks in '{folder.root}' end differently ({', '.join(sorted(endings))}); rename them."
        )
    for part, images in parts.items():
        for image in images:
            folder.use(image, part)
            folder.use(pairs[image], part)
    return FoundSets(
        'images with masks',
        folder.root,
        found,
        tuple(names),
        {} if endings == {'.png'} else dict(seg_map_suffix=endings.pop()),
        account_of(found, folder),
        folder.notes + shared_inputs(found),
    )


def _pairs(folder: Folder) -> dict[Path, Path]:
    """The mask of each image that has one."""
    grouped: dict[Path, list[Path]] = defaultdict(list)
    for path in folder.images:
        grouped[path.parent].append(path)
    places = {place: _says_mask(place, folder) for place in grouped}
    pairs: dict[Path, Path] = {}
    for place, paths in grouped.items():
        if not places[place]:
            pairs |= _in_one_folder(paths)
    for place in (place for place, masks in places.items() if masks):
        left = [path for path in grouped[place] if path.suffix.lower() in MASK_ENDINGS]
        while left:
            free = ([path for path in grouped[other] if path not in pairs] for other in places if not places[other])
            found = [_matched(images, left) for images in free]
            most = max(map(len, found), default=0)
            if not most:
                break
            # Of several folders with the same names, the one with the most of the mask's own folders in its path.
            alike = [one for one in found if len(one) == most]
            best = max(alike, key=lambda one: _shared(next(iter(one)).parent, place, folder))
            pairs |= best
            left = [path for path in left if path not in best.values()]
    return pairs


def _says_mask(place: Path, folder: Folder) -> bool:
    return any(MASK_WORD.search(name) for name in place.relative_to(folder.root).parts)


def _shared(first: Path, second: Path, folder: Folder) -> tuple[bool, int]:
    parts = part_named_in(first / 'x', folder.root) == part_named_in(second / 'x', folder.root)
    one, other = (Counter(path.relative_to(folder.root).parts) for path in (first, second))
    return parts, sum((one & other).values())


def _in_one_folder(paths: Sequence[Path]) -> dict[Path, Path]:
    """Pairs such as ``a.jpg`` and ``a_mask.png``."""
    images = {path.stem: path for path in paths}
    pairs = {}
    for path in paths:
        if path.suffix.lower() not in MASK_ENDINGS:
            continue
        stems = [path.stem[:end] for end in range(1, len(path.stem)) if path.stem[:end] in images]
        if stems and MASK_WORD.search(path.stem[len(stems[-1]) :]):
            pairs[images[stems[-1]]] = path
    return pairs


def _matched(images: Sequence[Path], masks: Sequence[Path]) -> dict[Path, Path]:
    """Images and masks of the same names, or whose masks' names go on with the same word."""
    stems = {path.stem: path for path in images}
    names = {path.name: path for path in images}
    exact = {stems[path.stem]: path for path in masks if path.stem in stems}
    exact |= {names[path.stem]: path for path in masks if path.stem in names}
    if exact:
        return exact
    longer: dict[str, dict[Path, Path]] = defaultdict(dict)
    for path in masks:
        for end in range(1, len(path.stem)):
            if path.stem[:end] in stems:
                longer[path.stem[end:]][stems[path.stem[:end]]] = path
    return max(longer.values(), key=len, default={})


def _by_part(folder: Folder, pairs: Mapping[Path, Path]) -> dict[str | None, list[Path]]:
    """The images of each part, by their folders, or else by lists of names such as ``train.txt``."""
    parts: dict[str | None, list[Path]] = defaultdict(list)
    for image in pairs:
        parts[part_named_in(image.parent / 'x', folder.root)].append(image)
    if set(parts) == {None}:
        parts = _by_lists(folder, pairs) or parts
    if len(parts) > 1:
        for image in parts.pop(None, ()):
            folder.leave_out(image, 'lie in no folder named train, valid or test, and in no list')
    return dict(parts)


def _by_lists(folder: Folder, pairs: Mapping[Path, Path]) -> dict[str | None, list[Path]]:
    stems = {image.stem: image for image in pairs}
    parts: dict[str | None, list[Path]] = {}
    for path in folder.with_ending('.txt'):
        part = part_named_in(path, folder.root)
        if part is None or path.name.lower() in NAME_FILES or path.stem.lower() == 'trainval':
            continue
        names = [line.split()[0] for line in read_text(path, 'list of names').splitlines() if line.strip()]
        listed = [stems[stem] for name in names if (stem := _stem(name, stems)) in stems]
        if listed:
            if part in parts:
                raise UserError(f"'{folder.root}' has two lists of the {USES[part]} part; remove one.")
            parts[part] = list(dict.fromkeys(listed))
            folder.use(path, part)
    if parts:
        listed_once = {image for images in parts.values() for image in images}
        parts[None] = [image for image in pairs if image not in listed_once]
        if not parts[None]:
            del parts[None]
    return parts


def _stem(name: str, stems: Mapping[str, Path]) -> str:
    last = name.replace('\\', '/').rpartition('/')[2]
    return last if last in stems else last.rpartition('.')[0]


class Conversion(NamedTuple):
    """How the pixels of masks become class numbers: by what they are now, a number or a colour."""

    numbers: dict[int | Colour, int]


def _classes(folder: Folder, masks: Sequence[Path]) -> tuple[list[str], Conversion | None]:
    """The names of the classes, and how pixels become their numbers; None where they are these already."""
    values: dict[int | Colour, Path] = {}
    for path in track(masks, 'masks', disable=not sys.stdout.isatty()):
        for value in _values(path):
            values.setdefault(value, path)
    named = _named(folder)
    colours = sorted(value for value in values if isinstance(value, tuple))
    numbers = sorted(value for value in values if isinstance(value, int))
    if colours and numbers and not all(len(set(colour)) == 1 for colour in colours):
        raise UserError(
            f"Some masks in '{folder.root}' are in colours, such as '{values[colours[0]]}', and others hold numbers, "
            f"such as '{values[numbers[0]]}'; save all in one way."
        )
    if colours and all(len(set(colour)) == 1 for colour in colours) and not named.colours:
        # Grey, saved in three channels.
        return _by_number(folder, sorted({*numbers, *(colour[0] for colour in colours)}), named, values, grey=True)
    if colours:
        return _by_colour(folder, colours, named, values)
    return _by_number(folder, numbers, named, values)


def _by_colour(
    folder: Folder, colours: Sequence[Colour], named: Named, values: Mapping[int | Colour, Path]
) -> tuple[list[str], Conversion]:
    if named.colours:
        unknown = [colour for colour in colours if colour not in named.colours]
        if unknown:
            raise UserError(
                f"The masks in '{folder.root}' have {examples(unknown)} colours that no class has, as in "
                f"'{values[unknown[0]]}'; name them in the file of classes, or save the masks as PNG from the original."
            )
        names = list(dict.fromkeys(named.colours.values()))
        return names, Conversion({colour: names.index(name) for colour, name in named.colours.items()})
    if len(colours) > 64:
        raise UserError(
            f"The masks in '{folder.root}' have {len(colours)} colours, as in '{values[colours[0]]}', so these are no "
            'classes; save masks as PNG without smoothing, or name the classes and their colours in a file '
            'class_dict.csv (name,r,g,b).'
        )
    folder.say(
        f'Nothing names the {len(colours)} colours of the masks, so the classes are called by them, black first; '
        'rename them in the config.'
    )
    names = [f'colour {red}, {green}, {blue}' for red, green, blue in colours]
    return names, Conversion({colour: number for number, colour in enumerate(colours)})


def _by_number(
    folder: Folder, numbers: Sequence[int], named: Named, values: Mapping[int | Colour, Path], grey: bool = False
) -> tuple[list[str], Conversion | None]:
    classes = [number for number in numbers if number != IGNORED]
    count = max(named.numbers) + 1 if named.numbers else None
    identity: Conversion | None = Conversion({(n, n, n): n for n in numbers}) if grey else None
    if count is not None and all(number < count for number in classes) and len(classes) > 1:
        return [named.numbers.get(number, f'class {number}') for number in range(count)], identity
    if len(numbers) == 2 and count in (None, 2) and numbers != [0, 1]:
        names = [named.numbers[number] for number in (0, 1)] if count else ['background', 'foreground']
        folder.say(f'The masks hold {numbers[0]} and {numbers[1]}; these became the classes 0 and 1.')
        found: dict[int | Colour, int] = {number: place for place, number in enumerate(numbers)}
        return names, Conversion(found | {(n, n, n): place for place, n in enumerate(numbers)})
    if len(classes) < 2:
        raise UserError(
            f"The masks in '{folder.root}' hold {', '.join(map(str, numbers))} alone, so there is only one class; a "
            'mask needs the background as a class too.'
        )
    if count is not None:
        wrong = [number for number in classes if number >= count]
        raise UserError(
            f"The masks in '{folder.root}' hold {examples(wrong)}, but {count} classes are named, from 0 to "
            f'{count - 1} (255 is ignored); correct the names or the masks.'
        )
    folder.say('Nothing names the classes, so they are called by their numbers; rename them in the config.')
    if (max(classes) + 1) > MOST_GAPS * len(classes):
        folder.say(f'The numbers of the masks have gaps ({examples(classes)}); they became 0 to {len(classes) - 1}.')
        places: dict[int | Colour, int] = {number: place for place, number in enumerate(classes)}
        places[IGNORED] = IGNORED
        places |= {(n, n, n): place for n, place in places.items() if isinstance(n, int)}
        return [f'class {number}' for number in classes], Conversion(places)
    return [f'class {number}' for number in range(max(classes) + 1)], identity


def _values(path: Path) -> set[int | Colour]:
    pixels = _pixels(path)
    if pixels.ndim == 2:
        return {int(value) for value in np.unique(pixels)}
    codes = np.unique(pixels[..., 0] * 65536 + pixels[..., 1] * 256 + pixels[..., 2])
    return {(int(code) >> 16, int(code) >> 8 & 255, int(code) & 255) for code in codes}


def _pixels(path: Path) -> np.ndarray:
    """Numbers ``(H, W)`` or colours ``(H, W, 3)``."""
    try:
        with open_image(path) as image:
            if image.mode not in ('RGB', 'RGBA'):
                return read_mask(path)
            return np.asarray(image.convert('RGB'), dtype=np.int64)
    except BrokenFileError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise BrokenFileError(f"The mask '{path}' is damaged or not an image; replace it or take it out.") from error


def _converted(image: Path, mask: Path, convert: Conversion | None, folder: Folder, out: Path) -> Path:
    """The mask with class numbers; a new file, if the given one has none."""
    if convert is None:
        return mask
    place = out / 'masks' / image.relative_to(folder.root).with_suffix('.png')
    place.parent.mkdir(parents=True, exist_ok=True)
    pixels = _pixels(mask)
    numbers = np.full(pixels.shape[:2], IGNORED, np.uint8)
    for value, number in convert.numbers.items():
        if isinstance(value, tuple) == (pixels.ndim == 3):
            numbers[(pixels == value).all(-1) if pixels.ndim == 3 else pixels == value] = number
    Image.fromarray(numbers).save(place)
    return place


def _part(part: str, images: Sequence[Path], masks: Mapping[Path, Path], folder: Folder, out: Path) -> FoundPart:
    place = Path(os.path.commonpath([image.parent for image in images]))
    beside = Path(os.path.commonpath([masks[image].parent for image in images]))
    ann_file = out / f'{part}.txt'
    names = [image.relative_to(place).with_suffix('').as_posix() for image in images]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UserError(f"'{place}' has two images for one mask, of the names {examples(twice)}; remove one of each.")
    ann_file.write_text(''.join(f'{name}\n' for name in names), encoding='utf-8')
    return FoundPart(ann_file, place, list(map(str, images)), sides_of(list(images)), beside=dict(seg_map_path=beside))


def _lie_alike(images: Sequence[Path], masks: Mapping[Path, Path]) -> bool:
    """Whether the masks lie in the same folders in their folder as the images in theirs."""
    place = os.path.commonpath([image.parent for image in images])
    beside = os.path.commonpath([masks[image].parent for image in images])
    return all(image.parent.relative_to(place) == masks[image].parent.relative_to(beside) for image in images)


def _ending(image: Path, mask: Path) -> str:
    """What follows the image's name in that of its mask."""
    return mask.name[len(image.name) :] if mask.name.startswith(f'{image.name}.') else mask.name[len(image.stem) :]


def _named(folder: Folder) -> Named:
    """The names of the classes, from the first file that has them."""
    for path in folder.with_ending('.txt', '.csv', '.json'):
        found = _names_in(path)
        if found and (found.numbers or found.colours):
            folder.use(path, 'all')
            return found
    return Named({}, {})


def _names_in(path: Path) -> Named | None:
    name = path.name.lower()
    if name == 'labelmap.txt':
        # CVAT's: label:color_rgb:parts:actions.
        rows = re.findall(r'(?m)^([^#:\n][^:\n]*):(\d+),(\d+),(\d+)', read_text(path, 'class names'))
        return Named({}, {_colour(colour): label for label, *colour in rows})
    if name in NAME_FILES:
        return Named(dict(enumerate(read_class_names(path))), {})
    if name.endswith('.csv') and re.search('class|colou?r|label', name):
        return _names_in_table(path)
    if name.endswith('.json') and re.search('class|id2label|label', name):
        try:
            content = json.loads(read_text(path, 'class names'))
        except ValueError:
            return None
        if isinstance(content, list) and all(isinstance(each, str) for each in content):
            return Named(dict(enumerate(content)), {})
        if isinstance(content, dict) and content and all(str(key).isdigit() for key in content):
            return Named({int(key): str(value) for key, value in content.items()}, {})
    return None


def _names_in_table(path: Path) -> Named | None:
    """Of ``name,r,g,b`` or of Roboflow's ``Pixel Value, Class``."""
    rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO('\n'.join(_lines(path)))) if row]
    body = [row for row in rows if any(cell.isdigit() for cell in row)]
    if body and all(len(row) == 2 and row[0].isdigit() for row in body):
        return Named({int(row[0]): row[1] for row in body}, {})
    if body and all(len(row) >= 4 and all(cell.isdigit() for cell in row[1:4]) for row in body):
        return Named({}, {_colour(row[1:4]): row[0] for row in body})
    return None


def _colour(cells: Sequence[str]) -> Colour:
    red, green, blue = (int(cell) for cell in cells[:3])
    return red, green, blue


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path, 'class names').splitlines()]
