"""A sheet of samples with their annotations, to check them at a glance."""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.atomic_write import atomic_write
from hiera_mm.errors import BrokenFileError
from hiera_mm.inference.fonts import drawable, font_of
from hiera_mm.readers.channels import loading_step
from hiera_mm.readers.frames import FrameReader

import numpy as np
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image, ImageDraw

COLUMNS, ROWS = 4, 4
TILE_SIDE = 320
"""Longest side of an image on the sheet in pixels."""

TEXT = 18
"""Height of the line above each image in pixels."""

STRIP_FRAMES = 6
"""Frames of a video that are shown."""


class Sheet(NamedTuple):
    """A sheet that was drawn: the number of samples on it, 0 without one, and how many of each class the set has, in
    words; empty where its check says so already."""

    samples: int
    counted: str = ''


class Tile(NamedTuple):
    """A sample on the sheet: its drawing, RGB ``(H, W, 3)``, and a line of text."""

    pixels: np.ndarray
    text: str


def built_set(dataset: ConfigDict, scope: str | None) -> Any:
    """A data set without its pipeline, in the default scope of the whole config."""
    init_default_scope(scope or 'mmengine')
    step = loading_step(dataset.get('pipeline'))
    # How images are loaded may say which files are images.
    return DATASETS.build(dict(dataset, pipeline=[step] if step.get('channel_files') else []))


def draw_samples(built: Any, tile_of: Callable[[Any, int], Tile], path: Path, columns: int = COLUMNS) -> int:
    """Write up to 16 samples of a data set, chosen at random with a fixed seed.

    Args:
        built: The set, see :func:`built_set`.
        tile_of: The tile of a sample, from the built set and its number; samples whose files are broken are left out.
        path: The image to write.
        columns: How many samples stand beside each other.

    Returns:
        The number of samples on the sheet.
    """
    tiles = []
    for number in random.Random(0).sample(range(len(built)), min(len(built), columns * ROWS)):
        try:
            tiles.append(tile_of(built, number))
        except BrokenFileError:
            continue
    return write_sheet(tiles, path, columns)


def write_sheet(tiles: Sequence[Tile], path: Path, columns: int = COLUMNS) -> int:
    """Write tiles in rows; returns their number."""
    if not tiles:
        return 0
    scaled = [_scaled(tile.pixels) for tile in tiles]
    height = max(image.height for image in scaled) + (TEXT + 6 if any(tile.text for tile in tiles) else 0)
    width = max(image.width for image in scaled) + 6
    sheet = Image.new('RGB', (min(len(tiles), columns) * width, -(-len(tiles) // columns) * height), 'white')
    drawing = ImageDraw.Draw(sheet)
    for place, (tile, image) in enumerate(zip(tiles, scaled, strict=True)):
        left, top = place % columns * width, place // columns * height
        if tile.text:
            text, font = drawable(_shortened(tile.text, width))
            drawing.text((left + 2, top + TEXT / 2), text, 'black', font_of(font, TEXT - 4), anchor='lm')
        sheet.paste(image, (left, top + (TEXT if tile.text else 0)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as unfinished:
        sheet.save(unfinished, format='PNG')
    return len(tiles)


def film_strip(reader: FrameReader, count: int = STRIP_FRAMES) -> tuple[np.ndarray, np.ndarray]:
    """Frames of a video from its start to its end beside each other, and their times in seconds."""
    numbers = np.unique(np.linspace(0, len(reader) - 1, count).round().astype(int))
    frames = [np.asarray(_scaled(frame, TILE_SIDE // 2)) for frame in reader.frames(numbers.tolist())]
    return np.concatenate(frames, 1), reader.times[numbers]


def _scaled(pixels: np.ndarray, side: int = TILE_SIDE) -> Image.Image:
    """Strips keep their length."""
    image = Image.fromarray(pixels)
    height, width = pixels.shape[:2]
    ratio = side / (height if width > 3 * height else max(height, width))
    if width > 3 * height:
        ratio = min(ratio, 1)
    size = max(1, round(width * ratio)), max(1, round(height * ratio))
    return image.resize(size, Image.Resampling.BOX if ratio < 1 else Image.Resampling.NEAREST)


def _shortened(text: str, width: int) -> str:
    most = max(8, width // 8)
    return text if len(text) <= most else f'{text[: most - 3]}...'
