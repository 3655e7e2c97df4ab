"""How far changed copies of images are from their originals, and other images from each other, by thumbnails:
``python -m benchmarks.near_duplicates FOLDER ...``. The threshold, ``NEAR_DUPLICATE``, lies between.
"""

import argparse
import io
import sys
from collections.abc import Callable
from pathlib import Path

import hiera_mm  # noqa: F401  (first: it repairs what other imports need)
from hiera_mm.commands.faults import as_sentences
from hiera_mm.readers.inputs import Kind, find_inputs
from hiera_mm.readers.thumbnails import NEAR_DUPLICATE, directions, thumbnail

import numpy as np
import torch
from PIL import Image, ImageEnhance

COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    'saved as JPEG of quality 40': lambda image: _as_jpeg(image, 40),
    'scaled by 0.7': lambda image: image.resize((round(image.width * 0.7), round(image.height * 0.7))),
    'brighter by 15 %': lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    'with a fifth more contrast': lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    'without 1 % at each edge': lambda image: _without_edge(image, 0.01),
    'without 3 % at each edge': lambda image: _without_edge(image, 0.03),
    'without 10 % at each edge': lambda image: _without_edge(image, 0.1),
    'mirrored': lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folders', nargs='+', type=Path, help='folders of images')
    for folder in parser.parse_args().folders:
        report(folder)


def report(folder: Path) -> None:
    """Print the distances of a folder's images."""
    images = [Image.open(entry.source).convert('RGB') for entry in find_inputs([str(folder)], (Kind.IMAGE,))]
    vectors = _vectors(images)
    distances = torch.cdist(*2 * [torch.from_numpy(vectors)]).fill_diagonal_(np.inf)
    nearest = distances.min(1).values.numpy()
    print(f'{folder}, {len(images)} images; nearer than {NEAR_DUPLICATE}: {(nearest < NEAR_DUPLICATE).mean():.1%}')
    print(f'  {"distance":28} median   least    most')
    _line('nearest other image', nearest)
    for name, change in COPIES.items():
        _line(name, np.linalg.norm(_vectors([change(image) for image in images]) - vectors, axis=1))


def _line(name: str, distances: np.ndarray) -> None:
    print(f'  {name:28} {np.median(distances):6.3f}  {distances.min():6.3f}  {distances.max():6.3f}')


def _vectors(images: list[Image.Image]) -> np.ndarray:
    return directions(np.stack([thumbnail(np.asarray(image)) for image in images]))


def _as_jpeg(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, 'JPEG', quality=quality)
    return Image.open(file).convert('RGB')


def _without_edge(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    return image.crop(
        (round(width * share), round(height * share), round(width * (1 - share)), round(height * (1 - share)))
    )


if __name__ == '__main__':
    with as_sentences():
        sys.exit(main())
