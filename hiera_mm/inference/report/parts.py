"""The parts of a report."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from mmengine.runner import Runner
from PIL import Image

MAX_SHOWN = 8
"""Most images or clips with errors, and most pairs of confused classes, on the page."""

IMAGE_SIDE = 480
"""Longest side of images on the page, in pixels."""


class Table(NamedTuple):
    head: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass
class Section:
    """A section of the page.

    Attributes:
        charts, pictures: Pairs of caption and data URL.
        details: Text that is collapsed.
    """

    heading: str
    text: str = ''
    tables: list[Table] = field(default_factory=list)
    charts: list[tuple[str, str]] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    details: str = ''


class Tested(NamedTuple):
    """The results of a model on its test set.

    Attributes:
        metrics: Metrics by name.
        predictions: Predictions of each sample, in the order of the data set.
        runner: The runner that tested.
    """

    metrics: dict[str, float]
    predictions: list[dict]
    runner: Runner

    @property
    def dataset(self) -> Any:
        return self.runner.test_dataloader.dataset


def most_confused(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> Table:
    """The most frequent confusions in counts ``(rows, columns)``."""
    wrong = [
        (int(counts[row, column]), rows[row], columns[column]) for row, column in np.argwhere(counts) if row != column
    ]
    most = sorted(wrong, reverse=True)[:MAX_SHOWN]
    return Table(('true class', 'predicted class', 'times'), [(row, column, count) for count, row, column in most])


def as_data_url(image: np.ndarray, side: int) -> str:
    """Shrink an image and encode it as a data URL."""
    smaller = Image.fromarray(image)
    smaller.thumbnail((side, side))
    content = io.BytesIO()
    smaller.save(content, format='JPEG', quality=85)
    return f'data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}'
