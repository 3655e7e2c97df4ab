"""The result of semantic segmentation, in numpy."""

from collections.abc import Sequence
from dataclasses import dataclass

from hiera_mm.inference.visualization import colour_of, palette_of

import numpy as np
import pycocotools.mask
from PIL import Image, ImageDraw, ImageFont

MAX_LEGEND_ENTRIES = 12
"""The most classes whose names are drawn."""


@dataclass(frozen=True)
class Segmentation:
    """The class of every pixel of an image.

    Attributes:
        labels: Class numbers ``(H, W)``, unsigned bytes.
        names: Names of the classes, by number.
    """

    labels: np.ndarray
    names: Sequence[str]

    def shares(self) -> dict[str, float]:
        """Share of the image, 0 to 1, of each class."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.names))
        return {name: float(count / self.labels.size) for name, count in zip(self.names, counts, strict=True)}

    def to_json(self) -> dict:
        """Convert to JSON: for each class in the image its share and its mask in COCO's run lengths."""
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
    """The frame, RGB ``(H, W, 3)``, blended with the colours of the classes, with a legend of those in the image."""
    drawn = Image.fromarray(frame // 2 + palette_of(len(found.names))[found.labels] // 2)
    drawing = ImageDraw.Draw(drawn)
    size = max(8, min(frame.shape[:2]) // 22)
    font = ImageFont.load_default(size)
    shown = sorted(found.shares().items(), key=lambda item: -item[1])[:MAX_LEGEND_ENTRIES]
    for line, name in enumerate(name for name, share in shown if share):
        top = round(1.4 * size * line) + 1
        drawing.rectangle((1, top, size, top + size), colour_of(found.names.index(name)), 'black')
        drawing.text((1.4 * size, top), name, 'white', font, stroke_width=max(1, size // 10), stroke_fill='black')
    return np.asarray(drawn)
