"""The result of semantic segmentation, in numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hiera_mm.inference.visualization import colour_of, enlarged, enlargement, palette_of, with_legend

import numpy as np
import pycocotools.mask

BACKGROUNDS = ('background', '_background_', '__background__', 'unlabeled', 'unlabelled', 'void')
"""Classes that are no objects or regions, whose pixels stay as they are."""

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
        """Share of the image, 0 to 1, of each class; pixels of no class, 255 in masks, count for none."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.names))[: len(self.names)]
        return {name: float(count / self.labels.size) for name, count in zip(self.names, counts, strict=True)}

    def rows(self, score: float) -> list[dict[str, Any]]:
        """A row for a table of each class in the image, the largest first; ``score`` has no effect."""
        shares = sorted(self.shares().items(), key=lambda item: -item[1])
        return [{'class': name, 'share of the image': f'{share:.1%}'} for name, share in shares if share]

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
    """The frame, RGB ``(H, W, 3)``, blended with the colours of all classes but the background, with a legend of those
    in the image; the result is larger if the frame is small."""
    unpainted = [number for number, name in enumerate(found.names) if name.lower() in BACKGROUNDS]
    known = (found.labels < len(found.names)) & ~np.isin(found.labels, unpainted)
    blended = frame.copy()
    blended[known] = frame[known] // 2 + palette_of(len(found.names))[found.labels[known]] // 2
    shown = sorted(found.shares().items(), key=lambda item: -item[1])[:MAX_LEGEND_ENTRIES]
    return with_legend(
        enlarged(blended, enlargement(frame.shape[:2])),
        {
            name: colour_of(found.names.index(name))
            for name, share in shown
            if share and name.lower() not in BACKGROUNDS
        },
    )
