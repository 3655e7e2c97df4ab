"""Draws boxes, masks and text on images and videos."""

import colorsys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.inference.fonts import drawable, font_of
from hiera_mm.readers.videos import VideoFile
from hiera_mm.readers.write_video import write_video

import numpy as np
import pycocotools.mask
from PIL import Image, ImageDraw
from rich.progress import track

RunLengths = dict[str, Any]
"""A mask as COCO stores it: ``dict(size=[height, width], counts=bytes)``."""


COLOURS = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
"""Colours that the colour-blind can tell apart (Okabe and Ito, 2008)."""


class Label(NamedTuple):
    """The box, text and mask to draw for an object.

    Attributes:
        box: x1, y1, x2, y2 in pixels.
        lines: Lines of text above the box.
        colour: Red, green and blue, 0 to 255.
        mask: Mask in COCO's run lengths, or None.
    """

    box: Sequence[float]
    lines: list[str]
    colour: tuple[int, int, int] = COLOURS[0]
    mask: RunLengths | None = None


SHOWN_SIDE = 512
"""Images whose longer side is shorter are drawn enlarged, up to :data:`MAX_ENLARGEMENT` times, so that texts fit."""

MAX_ENLARGEMENT = 6


def colour_of(number: int) -> tuple[int, int, int]:
    """The colour of a class: red, green and blue, 0 to 255."""
    if number < len(COLOURS):
        return COLOURS[number]
    # Steps of the golden ratio keep the hues of neighbouring numbers apart; three levels of brightness help further.
    brightness = (1, 0.7, 0.45)[number % 3]
    red, green, blue = colorsys.hsv_to_rgb((number * 0.618 + 0.11) % 1, 0.75, brightness)
    return round(255 * red), round(255 * green), round(255 * blue)


def write_annotated(path: Path, reader: VideoFile, labels_at: dict[float, list[Label]]) -> None:
    """Write a copy of a video as an mp4, each frame with the labels of the nearest time.

    Args:
        path: The mp4 to write, without sound.
        reader: A video from :func:`hiera_mm.readers.videos.open_video`.
        labels_at: Labels by seconds from the start; they are shown up to half the longest interval between two times
            before and after.
    """
    frames = track(_frames(reader, labels_at), f'Writing {path.name}', total=len(reader))
    write_video(path, frames, reader.rate, reader.times - reader.times[0])


def _frames(reader: VideoFile, labels_at: dict[float, list[Label]]) -> Iterator[np.ndarray]:
    seconds = np.array(sorted(labels_at))
    reach = max(np.diff(seconds), default=1.0) / 2
    for second, frame in zip(reader.times, reader, strict=False):
        nearest = seconds[np.abs(seconds - second).argmin()]
        shown = abs(nearest - second) <= reach
        yield draw(frame, labels_at[nearest] if shown else [])


def draw(frame: np.ndarray, labels: Sequence[Label]) -> np.ndarray:
    """Draw labels on a frame, RGB ``(H, W, 3)``; the result is larger if the frame is small.

    Texts stand beside their object, where they cover least of the others.
    """
    factor = enlargement(frame.shape[:2])
    image = Image.fromarray(enlarged(_with_masks(frame, labels), factor))
    boxes = [_inside(np.asarray(label.box, float) * factor, image.size) for label in labels]
    style = Style.of(image.size)
    drawing = ImageDraw.Draw(image)
    for label, box in zip(labels, boxes, strict=True):
        drawing.rectangle(box, outline=label.colour, width=style.line)
    texts: list[Box] = []
    for label, box in zip(labels, boxes, strict=True):
        if label.lines:
            texts.append(_write(drawing, label, box, [*texts, *boxes], style, image.size))
    return np.asarray(image)


Box = tuple[float, float, float, float]
"""x1, y1, x2, y2 in pixels."""


class Style(NamedTuple):
    """Sizes of what is drawn, in pixels.

    Attributes:
        text: Height of a line of text.
        line: Width of a line.
    """

    text: int
    line: int

    @classmethod
    def of(cls, size: tuple[int, int]) -> 'Style':
        """For an image of a width and height."""
        text = max(12, round(min(size) / 40), round(max(size) / 70))
        return cls(text, max(1, round(text / 8)))


def enlargement(size: Sequence[int]) -> int:
    """How many times as large an image is drawn."""
    return min(max(SHOWN_SIDE // max(size), 1), MAX_ENLARGEMENT)


def enlarged(image: np.ndarray, factor: int) -> np.ndarray:
    """An image ``(H, W, 3)`` with each pixel ``factor`` times as high and wide."""
    return image if factor == 1 else image.repeat(factor, 0).repeat(factor, 1)


def _inside(box: np.ndarray, size: tuple[int, int]) -> Box:
    x1, y1, x2, y2 = np.clip(box, 0, np.array([*size, *size]) - 1).tolist()
    return x1, y1, x2, y2


def _write(
    drawing: ImageDraw.ImageDraw, label: Label, box: Box, taken: Sequence[Box], style: Style, size: tuple[int, int]
) -> Box:
    """Write the lines of a label beside its box, and return the place."""
    lines = [drawable(line) for line in label.lines]
    fonts = [font_of(path, style.text) for _, path in lines]
    margin, step = max(2, style.text // 5), round(1.25 * style.text)
    width = max(font.getlength(text) for (text, _), font in zip(lines, fonts, strict=True)) + 2 * margin
    height = step * len(lines) + margin
    place = min(_places(box, width, height, size), key=lambda place: _covered(place, box, taken))
    drawing.rectangle(place, fill=label.colour)
    ink = 'black' if np.dot(label.colour, (0.299, 0.587, 0.114)) > 110 else 'white'
    for number, ((text, _), font) in enumerate(zip(lines, fonts, strict=True)):
        middle = place[1] + margin / 2 + step * (number + 0.5)
        drawing.text((place[0] + margin, middle), text, ink, font, anchor='lm')
    return place


def _places(box: Box, width: float, height: float, size: tuple[int, int]) -> Iterator[Box]:
    """Where a text may stand, the usual place first: above, below, right, left, and inside at the top."""
    x1, y1, x2, y2 = box
    corners = (
        *((x1, y1 - height), (x2 - width, y1 - height), (x1, y2), (x2 - width, y2)),
        *((x2, y1), (x1 - width, y1), (x2, y2 - height), (x1 - width, y2 - height), (x1, y1)),
    )
    for left, top in corners:
        left, top = min(max(left, 0), max(size[0] - width, 0)), min(max(top, 0), max(size[1] - height, 0))
        yield left, top, left + width, top + height


def _covered(place: Box, own: Box, taken: Sequence[Box]) -> float:
    """How much of other boxes and texts, and twice that of its own box, a text would cover, in pixels."""
    return sum((2 if other == own else 1) * _shared(place, other) for other in taken)


def _shared(one: Box, two: Box) -> float:
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    return max(width, 0) * max(height, 0)


def with_legend(image: np.ndarray, colours: Mapping[str, tuple[int, int, int]]) -> np.ndarray:
    """An image, RGB ``(H, W, 3)``, with names beside their colours in its upper left corner."""
    drawn = Image.fromarray(image)
    drawing, size = ImageDraw.Draw(drawn), Style.of(drawn.size).text
    for line, (name, colour) in enumerate(colours.items()):
        top = round(1.4 * size * line) + 1
        drawing.rectangle((1, top, size, top + size), colour, 'black')
        text, path = drawable(name)
        place, edge = (1.4 * size, top + size / 2), max(1, size // 10)
        drawing.text(place, text, 'white', font_of(path, size), 'lm', stroke_width=edge, stroke_fill='black')
    return np.asarray(drawn)


def palette_of(count: int) -> np.ndarray:
    """The colours of ``count`` classes, ``(classes, 3)``."""
    return np.array([colour_of(number) for number in range(count)], np.uint8)


def _with_masks(frame: np.ndarray, labels: Sequence[Label]) -> np.ndarray:
    """A copy of the frame blended with the masks, which are decoded one at a time."""
    masked = frame.copy()
    for label in labels:
        if label.mask is not None:
            left, top, width, height = pycocotools.mask.toBbox(label.mask).astype(int)
            part = slice(top, top + height), slice(left, left + width)
            region, inside = masked[part], pycocotools.mask.decode(label.mask)[part].astype(bool)
            region[inside] = region[inside] // 2 + np.array(label.colour, np.uint8) // 2
    return masked
