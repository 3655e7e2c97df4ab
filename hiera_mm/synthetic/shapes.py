"""A generated data set of coloured shapes in COCO's format, for the quickstart and the tests."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from hiera_mm.errors import UserError

import cv2
import mmcv
import numpy as np
from pycocotools import mask as coco_mask

CLASSES = ('circle', 'bar', 'triangle')
OUTLINES = {
    # Corners around (0, 0), of about unit radius.
    'circle': [(np.cos(angle), np.sin(angle)) for angle in np.linspace(0, 2 * np.pi, 64)],
    'bar': [(-1, -0.4), (1, -0.4), (1, 0.4), (-1, 0.4)],
    'triangle': [(0, -1), (0.87, 0.5), (-0.87, 0.5)],
}

MAX_TILT = np.pi / 12
"""Largest angle, in radians, by which a shape is tilted."""

EMPTY_SHARE = 0.05
CROWD_SHARE = 0.1
"""Share of the images without objects, and share with a crowd of tiny objects under one run-length mask."""


def make_coco_shapes(folder: str | Path, train: int = 640, val: int = 60, seed: int = 0) -> None:
    """Draw images and write ``{train,val}/*.png`` and ``annotations/instances_{train,val}.json``.

    Images are 96 to 128 pixels a side, with up to four shapes of random colour, size and tilt on a
    noisy background. Later shapes hide parts of earlier ones, and the polygons (in pixels) follow what is
    seen. The same arguments always give the same files; a folder that already holds them is left alone.

    Args:
        folder: Where to write the set; another generated set there is replaced.
        train, val: Number of images in each part.
        seed: Seed of the random generator.

    Raises:
        UserError: if the folder holds anything but such a set.
    """
    write_once(Path(folder), dict(train=train, val=val, seed=seed, version=3), _write_part)


def write_once(folder: Path, recipe: dict, write_part: Callable[[Path, str, int, np.random.Generator], None]) -> None:
    """Write the parts ``train`` and ``val``, unless ``folder`` already holds the set of this recipe.

    Raises:
        UserError: if the folder holds anything but a generated set.
    """
    stamp = folder / 'shapes.json'
    if stamp.is_file() and json.loads(stamp.read_text()) == recipe:
        return
    if not stamp.is_file() and folder.exists() and any(folder.iterdir()):
        raise UserError(f"The folder '{folder}' holds something other than generated shapes; name another one.")
    unfinished = folder.with_name(folder.name + '.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        for part in ('train', 'val'):
            write_part(unfinished, part, recipe[part], np.random.default_rng([recipe['seed'], len(part)]))
        (unfinished / stamp.name).write_text(json.dumps(recipe))
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _write_part(folder: Path, part: str, count: int, random: np.random.Generator) -> None:
    (folder / part).mkdir(parents=True)
    (folder / 'annotations').mkdir(exist_ok=True)
    images: list[dict] = []
    annotations: list[dict] = []
    for image_id in range(1, count + 1):
        image, objects = draw_scene(random)
        name = f'{image_id:06d}.png'
        mmcv.imwrite(image, folder / part / name)
        images.append(dict(id=image_id, file_name=name, height=image.shape[0], width=image.shape[1]))
        for annotation in objects:
            annotations.append(dict(annotation, id=len(annotations) + 1, image_id=image_id))
    categories = [dict(id=number, name=name) for number, name in enumerate(CLASSES, start=1)]
    content = dict(info={}, licenses=[], images=images, annotations=annotations, categories=categories)
    (folder / 'annotations' / f'instances_{part}.json').write_text(json.dumps(content))


def draw_scene(random: np.random.Generator) -> tuple[np.ndarray, list[dict]]:
    """One BGR image ``(H, W, 3)`` and its annotations, without ids."""
    height, width = random.integers(96, 129, size=2)
    image = draw_background(random, height, width)
    if random.random() < EMPTY_SHARE:
        return image, []
    annotations = []
    if random.random() < CROWD_SHARE:
        annotations.append(_draw_crowd(random, image))
    shapes: list[tuple[int, np.ndarray]] = []
    for _ in range(random.integers(1, 5)):
        place_shape(random, image, shapes)
    for category, visible in shapes:
        annotations.append(_annotation(category, visible, _polygons(visible)))
    return image, annotations


def draw_background(random: np.random.Generator, height: int, width: int) -> np.ndarray:
    coarse = random.integers(0, 256, size=(3, 3, 3)).astype(np.float32)
    gradient = cv2.resize(coarse, (int(width), int(height)), interpolation=cv2.INTER_CUBIC)
    noise = random.normal(0, 12, size=gradient.shape)
    return np.clip(gradient / 4 + 96 + noise, 0, 255).astype(np.uint8)


def place_shape(random: np.random.Generator, image: np.ndarray, shapes: list[tuple[int, np.ndarray]]) -> None:
    """Draw one more shape where earlier ones stay recognisable, unless ten tries find no such place."""
    for _ in range(10):
        category = int(random.integers(len(CLASSES)))
        mask = draw_mask(random, image.shape[:2], category)
        left = [(label, visible & ~mask) for label, visible in shapes]
        if all(_recognisable(now, was) for (_, now), (_, was) in zip(left, shapes, strict=True)):
            image[mask] = draw_colour(random, image, mask)
            shapes[:] = [*left, (category, mask)]
            return


def draw_mask(random: np.random.Generator, size: tuple[int, int], category: int) -> np.ndarray:
    """The mask ``(H, W)`` of a shape of random size, position and tilt, with its middle well inside."""
    height, width = size
    radius = random.uniform(12, 30)
    margin = radius / 2
    centre = random.uniform([margin, margin], [width - margin, height - margin])
    return _shape_mask(random, size, category, centre, radius)


def _shape_mask(random: np.random.Generator, size: tuple, category: int, centre: np.ndarray, radius: float):
    tilt = random.uniform(-MAX_TILT, MAX_TILT)
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    outline = centre + radius * np.array(OUTLINES[CLASSES[category]]) @ turn
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [outline.round().astype(np.int32)], 1)
    return mask.astype(bool)


def _recognisable(visible: np.ndarray, before: np.ndarray) -> bool:
    """Whether at least two thirds of a shape are visible, without a hole, which polygons can't represent."""
    if visible.sum() < 0.67 * before.sum():
        return False
    outlines, nesting = cv2.findContours(visible.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return len(outlines) > 0 and bool((nesting[0, :, 3] < 0).all())


def draw_colour(random: np.random.Generator, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A random colour that stands out from what it covers."""
    below = image[mask].mean(axis=0)
    while True:
        colour = random.integers(0, 256, size=3)
        if np.abs(colour - below).max() > 80:
            return np.clip(colour + random.normal(0, 6, size=(int(mask.sum()), 3)), 0, 255).astype(np.uint8)


def _polygons(visible: np.ndarray) -> list[list[float]]:
    outlines, _ = cv2.findContours(visible.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [outline.reshape(-1).astype(float).tolist() for outline in outlines if len(outline) >= 3]


def _draw_crowd(random: np.random.Generator, image: np.ndarray) -> dict:
    height, width = image.shape[:2]
    category = int(random.integers(len(CLASSES)))
    middle = random.uniform([24, 24], [width - 24, height - 24])
    region = np.zeros((height, width), bool)
    for offset in random.uniform(-16, 16, size=(8, 2)):
        mask = _shape_mask(random, (height, width), category, middle + offset, radius=4)
        image[mask] = draw_colour(random, image, mask)
        region |= mask
    counts = coco_mask.encode(np.asfortranarray(region.astype(np.uint8)))
    return _annotation(category, region, dict(size=[int(height), int(width)], counts=counts['counts'].decode()))


def _annotation(category: int, mask: np.ndarray, segmentation: list | dict) -> dict:
    """An annotation with the area and box that pycocotools computes from the segmentation."""
    height, width = mask.shape
    crowd = isinstance(segmentation, dict)
    runs = segmentation if crowd else coco_mask.merge(coco_mask.frPyObjects(segmentation, height, width))
    return dict(
        category_id=category + 1,
        segmentation=segmentation,
        area=float(coco_mask.area(runs)),
        bbox=coco_mask.toBbox(runs).tolist(),
        iscrowd=int(crowd),
    )
