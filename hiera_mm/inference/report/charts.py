"""Charts of a report, as SVG data URLs for an HTML page."""

import base64
import io
import warnings
from collections.abc import Callable, Mapping, Sequence

import matplotlib
import numpy as np

matplotlib.use('Agg')

import matplotlib.pyplot as plt  # noqa: E402  (after choosing the backend)

MAX_LINES = 12
"""Most lines of a chart."""


def curves(values: Mapping[str, Mapping[int, float]], ylabel: str, xlabel: str = 'iteration') -> str:
    """Plot values by name over steps; the first line is the thickest."""

    def draw(axes: plt.Axes) -> None:
        for number, (name, by_step) in enumerate(values.items()):
            steps = sorted(by_step)
            marker = '.' if len(steps) < 30 else ''
            line = [by_step[step] for step in steps]
            axes.plot(steps, line, label=name, linewidth=1 if number else 2, marker=marker)
        axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, None))
        axes.legend(fontsize=8)

    return _drawn(draw)


def precision_recall(by_name: Mapping[str, np.ndarray]) -> str:
    """Plot precision ``(101,)`` at recalls of 0 to 1, for the first names."""

    def draw(axes: plt.Axes) -> None:
        for name, precision in list(by_name.items())[:MAX_LINES]:
            axes.plot(np.linspace(0, 1, len(precision)), precision, label=name)
        axes.set(xlabel='recall', ylabel='precision', xlim=(0, 1), ylim=(0, 1.02))
        axes.legend(fontsize=8)

    return _drawn(draw)


def confusion_table(counts: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> str:
    """Draw counts ``(R, C)``, coloured by their share of the row."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)

    def draw(axes: plt.Axes) -> None:
        axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
        axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8)
        axes.set_yticks(range(len(rows)), rows, fontsize=8)
        axes.set(xlabel='predicted class', ylabel='true class')
        for row, column in np.argwhere(counts) if counts.size <= 400 else ():
            colour = 'white' if shares[row, column] > 0.5 else 'black'
            axes.text(column, row, counts[row, column], ha='center', va='center', fontsize=8, color=colour)

    side = min(4 + 0.25 * len(rows), 14)
    return _drawn(draw, (side, side))


def _drawn(draw: Callable[[plt.Axes], None], size: tuple[float, float] = (5.5, 3.6)) -> str:
    # The browser has fonts for names in all scripts, and a name with two dollars is no formula.
    with plt.rc_context({'svg.fonttype': 'none', 'text.parse_math': False}), warnings.catch_warnings():
        warnings.filterwarnings('ignore', 'Glyph .* missing from font')
        figure, axes = plt.subplots(figsize=size, layout='constrained')
        draw(axes)
        text = io.BytesIO()
        figure.savefig(text, format='svg')
    plt.close(figure)
    return f'data:image/svg+xml;base64,{base64.b64encode(text.getvalue()).decode()}'
