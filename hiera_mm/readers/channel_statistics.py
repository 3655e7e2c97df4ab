"""Mean and deviation of the channels of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hiera_mm.errors import UserError
from hiera_mm.readers.channels import ChannelReader

import numpy as np


class Sums(NamedTuple):
    """Of an image: the number of its pixels, their sum and sum of squares by channel, and what is wrong with it."""

    pixels: int
    sum: np.ndarray
    squares: np.ndarray
    fault: str = ''


def sums_of(reader: ChannelReader, path: str | Path) -> Sums:
    try:
        pixels = reader.read(path).reshape(-1, reader.count).astype(np.float64)
    except UserError as error:
        return Sums(0, np.zeros(reader.count), np.zeros(reader.count), str(error))
    return Sums(len(pixels), pixels.sum(0), np.square(pixels).sum(0))


def mean_and_deviation(found: Sequence[Sums]) -> tuple[np.ndarray, np.ndarray]:
    """Of all pixels together, for each channel; the deviation of a channel of one value, by which nothing can be
    divided, is 1."""
    count = max(sum(one.pixels for one in found), 1)
    mean = np.sum([one.sum for one in found], axis=0) / count
    variance = np.sum([one.squares for one in found], axis=0) / count - mean**2
    return mean, np.where(variance > 0, np.sqrt(np.maximum(variance, 0)), 1)


def rounded(numbers: np.ndarray) -> list[float]:
    """For a config: five digits."""
    return [float(f'{number:.5g}') for number in numbers]
