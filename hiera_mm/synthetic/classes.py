"""Generated images of one shape each, in one folder for each class, like ImageNet."""

from pathlib import Path

from hiera_mm.synthetic.shapes import CLASSES, draw_background, draw_colour, draw_mask, write_once

import mmcv
import numpy as np


def make_class_shapes(folder: str | Path, train: int = 900, val: int = 150, seed: int = 0) -> None:
    """Draw images and write ``{train,val}/{bar,circle,triangle}/*.png``.

    Images are 96 to 128 pixels a side, with one shape of random colour, size, place and tilt on a noisy background. The
    same arguments always give the same files; a folder that already holds them is left alone.

    Args:
        folder: Where to write the set; another generated set there is replaced.
        train, val: Number of images in each part, spread evenly over the classes.
        seed: Seed of the random generator.

    Raises:
        UserError: if the folder holds anything but a generated set.
    """
    write_once(Path(folder), dict(kind='classes', train=train, val=val, seed=seed, version=1), _write_part)


def _write_part(folder: Path, part: str, count: int, random: np.random.Generator) -> None:
    for name in CLASSES:
        (folder / part / name).mkdir(parents=True)
    for number in range(count):
        height, width = random.integers(96, 129, size=2)
        image = draw_background(random, height, width)
        category = number % len(CLASSES)
        mask = draw_mask(random, image.shape[:2], category)
        image[mask] = draw_colour(random, image, mask)
        mmcv.imwrite(image, folder / part / CLASSES[category] / f'{number:05d}.png')
