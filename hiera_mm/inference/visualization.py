"""Draws boxes, masks and text on images and videos."""

import colorsys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.readers.videos import VideoFile
from hiera_mm.readers.write_video import write_video

import numpy as np
import pycocotools.mask
from PIL import Image, ImageDraw, ImageFont
from rich.progress import track

RunLengths = dict[str, Any]
"""A mask as COCO stores it: ``dict(size=[height, width], counts=bytes)``."""


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
    colour: tuple[int, int, int] = (0, 255, 0)
    mask: RunLengths | None = None


def colour_of(number: int) -> tuple[int, int, int]:
    """The colour of a class: red, green and blue, 0 to 255."""
    # Steps of the golden ratio keep the hues of neighbouring numbers apart.
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618 % 1, 0.85, 1)
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
        yield draw(frame, labels_at[nearest]) if shown else frame


def draw(frame: np.ndarray, labels: list[Label]) -> np.ndarray:
    """Draw labels on a frame, RGB ``(H, W, 3)``."""
    if not labels:
        return frame
    height, width = frame.shape[:2]
    image = Image.fromarray(_with_masks(frame, labels))
    drawing = ImageDraw.Draw(image, 'RGBA')
    size = max(8, min(height, width) // 22)
    font = ImageFont.load_default(size)
    for box, lines, colour, _ in labels:
        x1, y1, x2, y2 = np.clip(box, 0, np.array([width, height] * 2) - 1).tolist()
        drawing.rectangle((x1, y1, x2, y2), outline=colour, width=max(1, size // 10))
        # Above the box, but inside the frame.
        text, align = '\n'.join(lines), 'l' if x1 + x2 < width else 'r'
        place = x1 if align == 'l' else x2, max(y1, 1.3 * size * len(lines))
        around = drawing.multiline_textbbox(place, text, font, anchor=f'{align}d')
        drawing.rectangle(around, fill=(0, 0, 0, 150))
        drawing.multiline_text(place, text, 'white', font, anchor=f'{align}d')
    return np.asarray(image)


def palette_of(count: int) -> np.ndarray:
    """The colours of ``count`` classes, ``(classes, 3)``."""
    return np.array([colour_of(number) for number in range(count)], np.uint8)


def _with_masks(frame: np.ndarray, labels: list[Label]) -> np.ndarray:
    """A copy of the frame blended with the masks, which are decoded one at a time."""
    masked = frame.copy()
    for label in labels:
        if label.mask is not None:
            left, top, width, height = pycocotools.mask.toBbox(label.mask).astype(int)
            part = slice(top, top + height), slice(left, left + width)
            region, inside = masked[part], pycocotools.mask.decode(label.mask)[part].astype(bool)
            region[inside] = region[inside] // 2 + np.array(label.colour, np.uint8) // 2
    return masked
