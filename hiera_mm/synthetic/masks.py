"""Generated images of several shapes with index masks, for semantic segmentation."""

from pathlib import Path

from hiera_mm.synthetic.shapes import CLASSES, draw_background, place_shape, write_once

import mmcv
import numpy as np
from PIL import Image

NAMES = ('background', *CLASSES)
PALETTE = (0, 0, 0, 220, 60, 50, 60, 160, 220, 240, 200, 60)
"""Red, green and blue of each class."""


def make_mask_shapes(folder: str | Path, train: int = 640, val: int = 60, seed: int = 0) -> None:
    """Draw images and write ``images/{train,val}/*.png``, ``masks/{train,val}/*.png`` and ``classes.txt``.

    Images are 96 to 128 pixels a side, with up to four shapes of random colour, size and tilt on a noisy background;
    later ones hide parts of earlier ones. A pixel of a mask is 0 for the background, 1 for a circle, 2 for a bar, 3 for
    a triangle. The same arguments always give the same files; a folder that already holds them is left alone.

    Args:
        folder: Where to write the set; another generated set there is replaced.
        train, val: Number of images in each part.
        seed: Seed of the random generator.

    Raises:
        UserError: if the folder holds anything but a generated set.
    """
    write_once(Path(folder), dict(kind='masks', train=train, val=val, seed=seed, version=2), _write_part)


def _write_part(folder: Path, part: str, count: int, random: np.random.Generator) -> None:
    (folder / 'masks' / part).mkdir(parents=True)
    (folder / 'classes.txt').write_text('\n'.join(NAMES) + '\n')
    for number in range(1, count + 1):
        height, width = random.integers(96, 129, size=2)
        image = draw_background(random, height, width)
        shapes: list[tuple[int, np.ndarray]] = []
        for _ in range(random.integers(1, 5)):
            place_shape(random, image, shapes)
        mask = np.zeros((height, width), np.uint8)
        for category, visible in shapes:
            mask[visible] = category + 1
        mmcv.imwrite(image, folder / 'images' / part / f'{number:06d}.png')
        drawn = Image.fromarray(mask, 'P')
        drawn.putpalette(PALETTE)
        drawn.save(folder / 'masks' / part / f'{number:06d}.png')
