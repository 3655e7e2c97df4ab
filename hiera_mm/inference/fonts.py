"""Fonts for class names in any script."""

import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import matplotlib
from fontTools.ttLib import TTCollection, TTFont, TTLibError
from matplotlib import font_manager
from PIL import ImageFont

DEFAULT = Path(matplotlib.get_data_path(), 'fonts', 'ttf', 'DejaVuSans.ttf')
"""A font that comes with matplotlib: Latin, Greek, Cyrillic, Arabic and others, but neither Chinese, Japanese nor
Korean."""


def drawable(text: str) -> tuple[str, Path]:
    """A text with a font that has all its letters: matplotlib's, that of the package mplfonts, or one of the system.

    Letters that no font has become their numbers, such as ``U+732B``, so that different texts stay different.
    """
    # Pillow and matplotlib would draw a control character as a box.
    text = ' '.join(text.split())
    for path in _fonts():
        if set(text) <= _letters(path):
            return text, path
    return ''.join(letter if letter in _letters(DEFAULT) else f'U+{ord(letter):04X}' for letter in text), DEFAULT


@functools.lru_cache(maxsize=64)
def font_of(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """A font at a height in pixels."""
    return ImageFont.truetype(str(path), size)


def _fonts() -> Iterator[Path]:
    yield DEFAULT
    yield from _other_fonts()


@functools.cache
def _other_fonts() -> tuple[Path, ...]:
    package = importlib.util.find_spec('mplfonts')
    folders = [Path(place) for place in (package and package.submodule_search_locations) or ()]
    packaged = [path for folder in folders for path in sorted(folder.rglob('*Sans*Regular.otf'))]
    return *packaged, *map(Path, sorted(font_manager.findSystemFonts()))


@functools.cache
def _letters(path: Path) -> frozenset[str]:
    """The letters that a font can draw."""
    try:
        opened = TTCollection(path).fonts[0] if path.suffix.lower() == '.ttc' else TTFont(path, lazy=True)
        return frozenset(map(chr, opened.getBestCmap() or ()))
    except (OSError, TTLibError, AssertionError):
        # A font in another format.
        return frozenset()
