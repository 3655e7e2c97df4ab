"""The parts of a report."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from mmengine.runner import Runner
from PIL import Image

SHOWN = 8
"""Pictures or clips with most faults, and pairs of classes that are confused most often."""

PICTURE_SIDE = 480
"""Of pictures on the page, in pixels."""


class Table(NamedTuple):
    head: Sequence[str]
    rows: Sequence[Sequence[object]]


@dataclass
class Section:
    """Of the page.

    Attributes:
        charts, pictures: Each a caption with its source.
        details: Text that is folded away.
    """

    heading: str
    text: str = ''
    tables: list[Table] = field(default_factory=list)
    charts: list[tuple[str, str]] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    details: str = ''


class Tested(NamedTuple):
    """What the model gives on its test set.

    Attributes:
        metrics: By name.
        predictions: Of each sample, in the order of the data set.
        runner: That tested.
    """

    metrics: dict[str, float]
    predictions: list[dict]
    runner: Runner

    @property
    def dataset(self) -> Any:
        return self.runner.test_dataloader.dataset


def most_confused(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> Table:
    """The pairs of classes that are confused most often, of counts ``(rows, columns)``."""
    wrong = [
        (int(counts[row, column]), rows[row], columns[column]) for row, column in np.argwhere(counts) if row != column
    ]
    most = sorted(wrong, reverse=True)[:SHOWN]
    return Table(('is', 'found as', 'times'), [(row, column, count) for count, row, column in most])


def as_source(picture: np.ndarray, side: int) -> str:
    """Smaller, as text that the page holds."""
    smaller = Image.fromarray(picture)
    smaller.thumbnail((side, side))
    content = io.BytesIO()
    smaller.save(content, format='JPEG', quality=85)
    return f'data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}'
