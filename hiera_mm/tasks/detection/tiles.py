"""Large images in overlapping tiles, and the objects of all tiles as objects of the image."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from hiera_mm.errors import UserError
from hiera_mm.tasks.detection.results import Detections, RunLengths

import numpy as np
import pycocotools.mask
from scipy.sparse import dok_array
from scipy.sparse.csgraph import connected_components

SAME_OBJECT_IOU = 0.5
"""Overlap (intersection over union) above which objects of two tiles are one, in the part that both tiles show."""

FRAGMENT_SHARE = 0.7
"""Share of an object cut off by its tile that lies in an object of another tile, above which it is a part of that."""

BORDER = 2
"""Distance in pixels from a border of the tile within which an object is cut off by it."""


class Tiles(NamedTuple):
    """How a large image is cut into tiles.

    Attributes:
        side: Side of a tile, in pixels.
        overlap: Overlap of neighbouring tiles, as a share of the side; smaller objects are whole in one of them.
    """

    side: int
    overlap: float = 0.2

    def check(self) -> None:
        """Refuse tiles without a side, or with an overlap that is not in [0, 1).

        Raises:
            UserError: naming them.
        """
        if not (self.side > 0 and 0 <= self.overlap < 1):
            raise UserError(
                f'A tile needs a side above 0 and an overlap of at least 0 and below 1, but these are {self}.'
            )


class Found(NamedTuple):
    """An object found in a tile.

    Attributes:
        tile: left, top, right and bottom of the tile, in pixels of the image.
        box: x1, y1, x2, y2, in pixels of the image.
        score, label: As of :class:`Detections`.
        mask: In pixels of the tile, or None.
        cut: Whether the tile cuts the object off.
    """

    tile: np.ndarray
    box: np.ndarray
    score: float
    label: int
    mask: RunLengths | None
    cut: bool


def predict_in_tiles(
    predict: Callable[[np.ndarray], Detections], image: np.ndarray, tiles: Tiles, with_masks: bool
) -> Detections:
    """Detect objects tile by tile.

    Two tiles that show the same object agree on the part of it that both show; so objects are compared there, by their
    masks if they have any. An object that one tile shows as a whole is taken from there; the parts of one that no tile
    shows as a whole are joined.

    Args:
        predict: Detects objects in a tile.
        image: RGB ``(H, W, 3)``.
        tiles: How to cut it.
        with_masks: Whether objects have masks.

    Raises:
        UserError: as :meth:`Tiles.check`.
    """
    tiles.check()
    size, names, found = image.shape[:2], None, list[Found]()
    for tile in _tiles_of(size, tiles):
        left, top, right, bottom = tile
        there = predict(np.ascontiguousarray(image[top:bottom, left:right]))
        names = there.names
        found += _moved(there, tile, size)
    assert names is not None
    objects = [_joined(group, size) for group in _groups(found)]
    objects.sort(key=lambda entry: -entry.score)
    boxes = np.array([entry.box for entry in objects], np.float32).reshape(-1, 4)
    scores, labels = np.array([entry.score for entry in objects], np.float32), [entry.label for entry in objects]
    masks = [entry.mask for entry in objects] if with_masks else None
    return Detections(boxes, scores, np.array(labels, int), names, size, masks)


def _tiles_of(size: tuple[int, int], tiles: Tiles) -> Iterator[np.ndarray]:
    step = tiles.side - int(tiles.side * tiles.overlap)
    tops, lefts = (_starts(length, tiles.side, step) for length in size)
    for top in tops:
        for left in lefts:
            yield np.array([left, top, min(left + tiles.side, size[1]), min(top + tiles.side, size[0])])


def _starts(length: int, side: int, step: int) -> list[int]:
    """Where tiles begin along an axis; the last one ends with the image."""
    last = max(length - side, 0)
    return [*range(0, last, step), last]


def _moved(there: Detections, tile: np.ndarray, size: tuple[int, int]) -> Iterator[Found]:
    """The objects of a tile in pixels of the image."""
    # Borders of the image cut nothing off.
    inner = np.array([tile[0] > 0, tile[1] > 0, tile[2] < size[1], tile[3] < size[0]])
    for number in range(len(there)):
        box = there.boxes[number] + np.tile(tile[:2], 2)
        cut = bool((inner & (np.abs(box - tile) <= BORDER)).any())
        mask = None if there.run_lengths is None else there.run_lengths[number]
        yield Found(tile, box, float(there.scores[number]), int(there.labels[number]), mask, cut)


def _groups(found: Sequence[Found]) -> list[list[Found]]:
    """The findings of each object."""
    if not found:
        return []
    same, parts = dok_array((len(found), len(found)), dtype=bool), set[int]()
    for first, second in _candidates(found):
        share = _shares(found[first], found[second])
        if share.iou > SAME_OBJECT_IOU:
            same[first, second] = True
        elif found[first].cut and share.of_first > FRAGMENT_SHARE:
            parts.add(first)
        elif found[second].cut and share.of_second > FRAGMENT_SHARE:
            parts.add(second)
    _, numbers = connected_components(same, directed=False)
    groups = [np.flatnonzero(numbers == number) for number in range(max(numbers, default=-1) + 1)]
    # Without a part that equals nothing, but lies in something that another tile shows.
    return [[found[place] for place in group] for group in groups if len(group) > 1 or group[0] not in parts]


def _candidates(found: Sequence[Found]) -> Iterator[tuple[int, int]]:
    """Pairs of findings of one class in two tiles whose boxes meet where the tiles do."""
    by_tile: dict[tuple, list[int]] = {}
    for number, entry in enumerate(found):
        by_tile.setdefault(tuple(entry.tile), []).append(number)
    boxes, labels = np.array([entry.box for entry in found]), np.array([entry.label for entry in found])
    for (tile, firsts), (other, seconds) in combinations(by_tile.items(), 2):
        shared = _intersection(np.array(tile), np.array(other))
        if shared is None:
            continue
        one, two = _clipped(boxes[firsts], shared)[:, None], _clipped(boxes[seconds], shared)[None]
        sides = np.minimum(one[..., 2:], two[..., 2:]) - np.maximum(one[..., :2], two[..., :2])
        meet = (sides > 0).all(-1) & (labels[firsts][:, None] == labels[seconds][None])
        for row, column in np.argwhere(meet):
            yield firsts[row], seconds[column]


class _Shares(NamedTuple):
    iou: float
    of_first: float
    of_second: float


def _shares(one: Found, two: Found) -> _Shares:
    """How far two findings agree in the part of the image that both tiles show."""
    shared = _intersection(one.tile, two.tile)
    assert shared is not None
    if one.mask is None or two.mask is None:
        first, second = _clipped(one.box, shared), _clipped(two.box, shared)
        common = np.prod(np.minimum(first[2:], second[2:]) - np.maximum(first[:2], second[:2]))
        areas = [np.prod(box[2:] - box[:2]) for box in (first, second)]
    else:
        parts = [_part(entry, shared) for entry in (one, two)]
        common, areas = np.count_nonzero(parts[0] & parts[1]), [np.count_nonzero(part) for part in parts]
    return _Shares(common / max(sum(areas) - common, 1e-9), *(common / max(area, 1e-9) for area in areas))


def _part(found: Found, region: np.ndarray) -> np.ndarray:
    """A mask's pixels in a region of the image."""
    left, top, right, bottom = region - np.tile(found.tile[:2], 2)
    return pycocotools.mask.decode(found.mask)[top:bottom, left:right]


def _intersection(one: np.ndarray, two: np.ndarray) -> np.ndarray | None:
    region = np.concatenate([np.maximum(one[:2], two[:2]), np.minimum(one[2:], two[2:])])
    return region if (region[2:] > region[:2]).all() else None


def _clipped(boxes: np.ndarray, region: np.ndarray) -> np.ndarray:
    low, high = np.tile(region[:2], 2), np.tile(region[2:], 2)
    return np.clip(boxes, low, high)


def _joined(group: Sequence[Found], size: tuple[int, int]) -> Found:
    """One object from its findings, with its mask in pixels of the image."""
    whole = [entry for entry in group if not entry.cut]
    best = max(whole or group, key=lambda entry: entry.score)
    parts = [best] if whole else group
    box = np.concatenate([np.min([entry.box[:2] for entry in parts], 0), np.max([entry.box[2:] for entry in parts], 0)])
    mask = None
    if best.mask is not None:
        pixels = np.zeros(size, np.uint8, order='F')
        for entry in parts:
            left, top, right, bottom = entry.tile
            pixels[top:bottom, left:right] |= pycocotools.mask.decode(entry.mask)
        mask = pycocotools.mask.encode(pixels)
    return best._replace(box=box, mask=mask, tile=np.array([0, 0, size[1], size[0]]))
