"""Generated images of shapes on two kinds of ground, in COCO's panoptic format."""

import json
from pathlib import Path

from hiera_mm.readers.segment_maps import save_segment_map
from hiera_mm.synthetic.shapes import CLASSES as THINGS
from hiera_mm.synthetic.shapes import draw_background, place_shape, write_once

import cv2
import mmcv
import numpy as np

STUFF = ('stripes', 'dots')
"""The two kinds of ground, which a border of random place and slope parts."""

COLOURS = ((220, 60, 50), (60, 160, 220), (240, 200, 60), (90, 90, 90), (40, 140, 70))
"""Red, green and blue of each class, for viewers."""

Segment = tuple[int, np.ndarray]
"""A class and a mask ``(H, W)``."""


def make_panoptic_shapes(folder: str | Path, train: int = 640, val: int = 60, seed: int = 0) -> None:
    """Draw images and write ``{train,val}/*.png``, ``annotations/panoptic_{train,val}.json`` and the segment maps
    ``annotations/panoptic_{train,val}/*.png``.

    Images are 96 to 128 pixels a side, striped on one side of a border and dotted on the other, with up to four shapes
    of random colour, size and tilt; later ones hide parts of earlier ones. Shapes are things, and the two kinds of
    ground are stuff. The same arguments always give the same files; a folder that already holds them is left alone.

    Args:
        folder: Where to write the set; another generated set there is replaced.
        train, val: Number of images in each part.
        seed: Seed of the random generator.

    Raises:
        UserError: if the folder holds anything but a generated set.
    """
    write_once(Path(folder), dict(kind='panoptic', train=train, val=val, seed=seed, version=1), _write_part)


def _write_part(folder: Path, part: str, count: int, random: np.random.Generator) -> None:
    images, annotations = [], []
    maps = folder / 'annotations' / f'panoptic_{part}'
    for image_id in range(1, count + 1):
        image, segments = draw_panoptic_scene(random)
        name = f'{image_id:06d}.png'
        mmcv.imwrite(image, folder / part / name)
        images.append(dict(id=image_id, file_name=name, height=image.shape[0], width=image.shape[1]))
        annotations.append(dict(image_id=image_id, file_name=name, segments_info=write_segments(maps / name, segments)))
    names = [(name, 1) for name in THINGS] + [(name, 0) for name in STUFF]
    categories = [
        dict(id=number, name=name, isthing=isthing, color=list(COLOURS[number - 1]))
        for number, (name, isthing) in enumerate(names, start=1)
    ]
    content = dict(info={}, licenses=[], images=images, annotations=annotations, categories=categories)
    (folder / 'annotations' / f'panoptic_{part}.json').write_text(json.dumps(content))


def draw_panoptic_scene(random: np.random.Generator) -> tuple[np.ndarray, list[Segment]]:
    """One BGR image ``(H, W, 3)`` and its segments, which cover every pixel once."""
    height, width = random.integers(96, 129, size=2)
    image = draw_background(random, height, width)
    grounds = _draw_grounds(random, image)
    shapes: list[Segment] = []
    for _ in range(random.integers(1, 5)):
        place_shape(random, image, shapes)
    hidden = np.any([mask for _, mask in shapes], axis=0) if shapes else np.zeros(image.shape[:2], bool)
    left = [(len(THINGS) + number, mask & ~hidden) for number, mask in enumerate(grounds)]
    return image, [(label, mask) for label, mask in [*shapes, *left] if mask.any()]


def _draw_grounds(random: np.random.Generator, image: np.ndarray) -> list[np.ndarray]:
    """Draw stripes and dots onto an image; returns their masks."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    angle = random.uniform(0, 2 * np.pi)
    across = (columns - random.uniform(0.3, 0.7) * width) * np.cos(angle)
    striped = across + (rows - random.uniform(0.3, 0.7) * height) * np.sin(angle) < 0
    dots = np.zeros((height, width), np.uint8)
    for row in range(4, height, 8):
        for column in range(4 + row // 8 % 2 * 4, width, 8):
            cv2.circle(dots, (column, row), 1, 1, -1)
    lines = (rows + columns) // 4 % 2 == 0
    for mask, shade in ((striped & lines, 40), (~striped & dots.astype(bool), -60)):
        image[mask] = np.clip(image[mask].astype(int) + shade, 0, 255)
    return [striped, ~striped]


def write_segments(path: Path, segments: list[Segment]) -> list[dict]:
    """Write the segment map of an image; returns its ``segments_info``, with categories counted from 1."""
    ids = np.zeros(segments[0][1].shape, np.int32)
    entries = []
    for number, (label, mask) in enumerate(segments, start=1):
        # Neighbouring segments in colours that a person can tell apart.
        red, green, blue = COLOURS[label % len(COLOURS)]
        segment_id = red + 256 * green + 256**2 * ((blue + 40 * number) % 256)
        ids[mask] = segment_id
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        entries.append(
            dict(id=segment_id, category_id=label + 1, area=int(mask.sum()), bbox=[x, y, width, height], iscrowd=0)
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_segment_map(path, ids)
    return entries
