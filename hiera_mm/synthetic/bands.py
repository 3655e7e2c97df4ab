"""Generated images of four channels with index masks: only the fourth, in files of its own, tells the classes apart."""

from pathlib import Path

from hiera_mm.synthetic.shapes import draw_background, place_shape, write_once

import mmcv
import numpy as np
from PIL import Image

NAMES = ('background', 'dry', 'wet')
PALETTE = (0, 0, 0, 220, 160, 60, 60, 120, 220)
"""Red, green and blue of each class."""

REFLECTED = (130, 200, 60)
"""Mean of the fourth channel for each class."""

NOISE = 20


def make_band_shapes(folder: str | Path, train: int = 640, val: int = 60, seed: int = 0) -> None:
    """Draw images and write ``rgb/{train,val}/*.png``, ``infrared/{train,val}/*.png``, ``masks/{train,val}/*.png`` and
    ``classes.txt``.

    Images are those of :func:`hiera_mm.synthetic.masks.make_mask_shapes`, but outline and colour say nothing of a
    shape's class, which is drawn at random; wet ones are dark and dry ones bright in the infrared. The same arguments
    always give the same files; a folder that already holds them is left alone.

    Args:
        folder: Where to write the set; another generated set there is replaced.
        train, val: Number of images in each part.
        seed: Seed of the random generator.

    Raises:
        UserError: if the folder holds anything but a generated set.
    """
    write_once(Path(folder), dict(kind='bands', train=train, val=val, seed=seed, version=1), _write_part)


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
        for _, visible in shapes:
            mask[visible] = random.integers(1, len(NAMES))
        infrared = np.array(REFLECTED)[mask] + random.normal(0, NOISE, mask.shape)
        name = f'{number:06d}.png'
        mmcv.imwrite(image, str(folder / 'rgb' / part / name))
        mmcv.imwrite(np.clip(infrared, 0, 255).astype(np.uint8), str(folder / 'infrared' / part / name))
        drawn = Image.fromarray(mask, 'P')
        drawn.putpalette(PALETTE)
        drawn.save(folder / 'masks' / part / name)
