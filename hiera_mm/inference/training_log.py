"""What a run wrote about its training and validation."""

import json
from pathlib import Path
from typing import NamedTuple

from hiera_mm.errors import UserError

Curves = dict[str, dict[int, float]]
"""Values by name and step."""

LEFT_OUT = ('step', 'iter', 'epoch')


class TrainingLog(NamedTuple):
    """Of all runs in a work folder; a resumed run replaces what it repeats.

    Attributes:
        training: Losses, learning rates, seconds an iteration (``time``), and more, by iteration.
        validation: Metrics, by iteration, or by epoch in runs of epochs.
    """

    training: Curves
    validation: Curves

    @property
    def losses(self) -> Curves:
        return {name: values for name, values in self.training.items() if name.startswith('loss')}


def read_training_log(folder: Path) -> TrainingLog:
    """
    Args:
        folder: Where training wrote (``--work-dir``).

    Raises:
        UserError: if it holds no log.
    """
    found = TrainingLog({}, {})
    for entry in read_entries(folder):
        if 'step' in entry:
            # Only training has a rate.
            _add(found.training if 'lr' in entry or 'loss' in entry else found.validation, entry)
    if not found.training:
        raise UserError(f"The folder '{folder}' holds no training log (*/vis_data/scalars.json); train there first.")
    return found


def read_entries(folder: Path) -> list[dict]:
    """What all runs in a work folder logged, in the order of time."""
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for log in logs for line in log.read_text().splitlines()]


def _add(curves: Curves, entry: dict) -> None:
    for name, value in entry.items():
        if name not in LEFT_OUT and isinstance(value, int | float):
            curves.setdefault(name, {})[entry['step']] = value
