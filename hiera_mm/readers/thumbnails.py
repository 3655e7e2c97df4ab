"""Finds images that show the same, saved anew, in another size, a little brighter or cut at the edge."""

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

SIDE = 16

NEAR_DUPLICATE = 0.2
"""Distance of thumbnails below which images show the same. ``python -m benchmarks.near_duplicates`` chose it."""


CHUNK = 256
"""Images that are compared with all others at once."""


def thumbnail(image: np.ndarray) -> np.ndarray:
    """The mean colours of 16 x 16 parts of an image.

    Args:
        image: RGB ``(H, W, 3)``.

    Returns:
        Unsigned bytes ``(16, 16, 3)``.
    """
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.BOX))


def directions(thumbnails: np.ndarray) -> np.ndarray:
    """Thumbnails ``(N, 16, 16, 3)`` as vectors ``(N, 771)`` from the mean of each colour, of length 1, in which
    brightness and contrast are the same; for an image of one colour, this colour."""
    means = thumbnails.mean((1, 2), dtype=np.float32)
    flat = (thumbnails - means[:, None, None]).reshape(len(thumbnails), -1)
    lengths = np.linalg.norm(flat, axis=1, keepdims=True)
    colours = np.where(lengths > 0, 0, 1 + means / 255)
    return np.concatenate([flat / np.where(lengths > 0, lengths, 1), colours], axis=1)


def near_duplicates(vectors: np.ndarray, others: np.ndarray) -> Iterator[tuple[int, int]]:
    """Each vector that is near one of the others, with the nearest of these.

    Args:
        vectors: Of :func:`directions` ``(N, 771)``.
        others: The same of other images ``(M, 771)``.
    """
    squares = (others**2).sum(1)
    for start in range(0, len(vectors) if len(others) else 0, CHUNK):
        chunk = vectors[start : start + CHUNK]
        distances = (chunk**2).sum(1, keepdims=True) + squares - 2 * chunk @ others.T
        nearest = distances.argmin(1)
        for row in np.flatnonzero(distances.min(1) < NEAR_DUPLICATE**2).tolist():
            yield start + row, int(nearest[row])


def packed(thumbnails: Sequence[np.ndarray]) -> list[str]:
    """Thumbnails as text, for files of results."""
    return [one.tobytes().hex() for one in thumbnails]


def unpacked(texts: Sequence[str]) -> np.ndarray:
    """The thumbnails ``(N, 16, 16, 3)`` that :func:`packed` wrote."""
    return np.frombuffer(bytes.fromhex(''.join(texts)), np.uint8).reshape(-1, SIDE, SIDE, 3)
