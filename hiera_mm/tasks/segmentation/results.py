"""The class of every pixel of an image, as plain numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

from hiera_mm.inference.visualization import colour_of, palette_of

import numpy as np
import pycocotools.mask
from PIL import Image, ImageDraw, ImageFont

LEGEND = 12
"""The most classes whose names are drawn."""


@dataclass(frozen=True)
class Segmentation:
    """Of the pixels of one picture.

    Attributes:
        labels: ``(H, W)``, numbers of classes, unsigned bytes.
        names: Of the classes, by number.
    """

    labels: np.ndarray
    names: Sequence[str]

    def shares(self) -> dict[str, float]:
        """The part of the picture, 0 to 1, that each class has."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.names))
        return {name: float(count / self.labels.size) for name, count in zip(self.names, counts, strict=True)}

    def to_json(self) -> dict:
        """As JSON takes it: for each class that is there its share of the image and its mask as COCO's run lengths."""
        height, width = self.labels.shape
        regions = []
        for name, share in self.shares().items():
            if share:
                inside = self.labels == self.names.index(name)
                mask = pycocotools.mask.encode(np.asfortranarray(inside, np.uint8))
                mask['counts'] = mask['counts'].decode()
                regions.append(dict(category_name=name, share=round(share, 5), segmentation=mask))
        return dict(width=width, height=height, regions=regions)


def draw_regions(frame: np.ndarray, found: Segmentation) -> np.ndarray:
    """The frame, RGB ``(H, W, 3)``, half covered by the colours of classes, with the names of those that are there."""
    picture = Image.fromarray(frame // 2 + palette_of(len(found.names))[found.labels] // 2)
    drawing = ImageDraw.Draw(picture)
    size = max(8, min(frame.shape[:2]) // 22)
    font = ImageFont.load_default(size)
    shown = sorted(found.shares().items(), key=lambda item: -item[1])[:LEGEND]
    for line, name in enumerate(name for name, share in shown if share):
        top = round(1.4 * size * line) + 1
        drawing.rectangle((1, top, size, top + size), colour_of(found.names.index(name)), 'black')
        drawing.text((1.4 * size, top), name, 'white', font, stroke_width=max(1, size // 10), stroke_fill='black')
    return np.asarray(picture)
