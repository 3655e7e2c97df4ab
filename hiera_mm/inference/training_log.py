"""Reads the log of a run's training and validation."""

import json
from pathlib import Path
from typing import NamedTuple

Curves = dict[str, dict[int, float]]
"""Values by name and step."""

STEP_KEYS = ('step', 'iter', 'epoch')


class TrainingLog(NamedTuple):
    """The log of all runs in a work folder; a resumed run replaces the steps that it repeats.

    Attributes:
        training: Losses, learning rates, seconds per iteration (``time``), and more, by iteration.
        validation: Metrics, by iteration, or by epoch in runs by epochs.
    """

    training: Curves
    validation: Curves

    @property
    def losses(self) -> Curves:
        return {name: values for name, values in self.training.items() if name.startswith('loss')}


def read_training_log(folder: Path) -> TrainingLog:
    """Read the log of a work folder; empty, if it has none.

    Args:
        folder: The work folder (``--work-dir``).
    """
    found = TrainingLog({}, {})
    for entry in read_entries(folder):
        if 'step' in entry:
            # Only training logs a learning rate.
            _add(found.training if 'lr' in entry or 'loss' in entry else found.validation, entry)
    return found


def read_entries(folder: Path) -> list[dict]:
    """Log entries of all runs in a work folder, in order of time."""
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for log in logs for line in log.read_text().splitlines()]


def _add(curves: Curves, entry: dict) -> None:
    for name, value in entry.items():
        if name not in STEP_KEYS and isinstance(value, int | float):
            curves.setdefault(name, {})[entry['step']] = value
