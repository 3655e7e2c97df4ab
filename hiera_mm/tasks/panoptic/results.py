"""The result of panoptic segmentation, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hiera_mm.evaluation.panoptic import Segments, described, found_segments
from hiera_mm.inference.visualization import Label, colour_of, draw, with_legend

import numpy as np
import pycocotools.mask


class Segment(NamedTuple):
    """A thing, or all of an image's pixels of a kind of stuff.

    Attributes:
        id: Its number in the map.
        label: Number of its class.
        name: Name of its class.
        is_thing: Whether it is a thing.
        score: Probability of the class, 0 to 1; 1 for ground truth.
        area: Number of its pixels.
        box: x1, y1, x2, y2 around its pixels.
        is_crowd: Whether it is a crowd of things that were not annotated one by one.
    """

    id: int
    label: int
    name: str
    is_thing: bool
    score: float
    area: int
    box: tuple[int, int, int, int]
    is_crowd: bool = False


@dataclass(frozen=True)
class PanopticSegmentation:
    """The segment of every pixel of an image.

    Attributes:
        segment_map: Ids of segments ``(H, W)``, 32-bit integers; 0 where there is none.
        segments: The segments, things first, each with an id in the map.
        names: Names of all classes of the model, things first.
    """

    segment_map: np.ndarray
    segments: Sequence[Segment]
    names: Sequence[str]

    def __len__(self) -> int:
        return len(self.segments)

    def mask_of(self, segment: Segment) -> np.ndarray:
        """The pixels of a segment, ``(H, W)``."""
        return self.segment_map == segment.id

    def rows(self, score: float) -> list[dict[str, Any]]:
        """A row for a table of each segment, the largest first; ``score`` has no effect, since each pixel has one
        segment."""
        return [
            {
                'class': s.name,
                'kind': 'thing' if s.is_thing else 'stuff',
                'confidence': round(s.score, 2),
                'share of the image': f'{s.area / self.segment_map.size:.1%}',
            }
            for s in sorted(self.segments, key=lambda segment: -segment.area)
        ]

    def segments_info(self) -> list[dict]:
        """The segments in COCO's form, with ``category_name`` instead of a category's id."""
        return [
            dict(
                id=s.id,
                category_name=s.name,
                isthing=int(s.is_thing),
                score=s.score,
                area=s.area,
                bbox=[s.box[0], s.box[1], s.box[2] - s.box[0], s.box[3] - s.box[1]],
                iscrowd=int(s.is_crowd),
            )
            for s in self.segments
        ]

    def to_json(self) -> dict:
        """Convert to JSON: ``width``, ``height`` and ``segments_info``; the map itself is written as an image."""
        height, width = self.segment_map.shape
        return dict(width=width, height=height, segments_info=self.segments_info())


def segmentation_of(part: Segments, names: Sequence[str], things: int) -> PanopticSegmentation:
    """The result of an image's segments.

    Args:
        part: The segments, found or annotated.
        names: The classes, things first.
        things: The number of things.
    """
    segments = []
    for entry, segment in zip(described(part), part.listed, strict=True):
        x, y, width, height = entry['bbox']
        label = segment['label']
        box = x, y, x + width, y + height
        more = segment.get('score', 1.0), entry['area'], box, bool(segment.get('iscrowd'))
        segments.append(Segment(segment['id'], label, names[label], label < things, *more))
    return PanopticSegmentation(part.ids, sorted(segments, key=lambda s: (not s.is_thing, -s.score)), names)


def prediction_of(sample: Any, names: Sequence[str], things: int) -> PanopticSegmentation:
    """Convert a predicted ``DetDataSample``."""
    panoptic = sample.pred_panoptic_seg
    found = found_segments(panoptic.sem_seg[0].cpu().numpy(), panoptic.metainfo.get('scores', {}), len(names))
    return segmentation_of(found, names, things)


def draw_segments(frame: np.ndarray, found: PanopticSegmentation) -> np.ndarray:
    """The frame, RGB ``(H, W, 3)``, with its things in boxes and masks, and its stuff in colours with a legend; the
    result is larger if the frame is small."""
    painted, stuff = frame.copy(), dict[str, tuple[int, int, int]]()
    labels = []
    for segment in found.segments:
        mask, colour = found.mask_of(segment), colour_of(segment.label)
        if segment.is_thing:
            runs = pycocotools.mask.encode(np.asfortranarray(mask, np.uint8))
            labels.append(Label(segment.box, [_words(segment)], colour, runs))
        else:
            painted[mask] = painted[mask] // 2 + np.array(colour, np.uint8) // 2
            stuff[segment.name] = colour
    return with_legend(draw(painted, labels), stuff)


def _words(segment: Segment) -> str:
    if segment.is_crowd:
        return f'{segment.name} (crowd)'
    return segment.name if segment.score == 1.0 else f'{segment.name} {segment.score:.2f}'
