"""What mmengine puts into a checkpoint beside tensors, as data that ``torch.load`` takes with its defaults."""

from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

HISTORY = {'log_history', 'count_history', 'max_length'}
"""The keys that stand for a ``HistoryBuffer``, named as its arguments."""


def as_plain(part: Any) -> Any:
    """The same with histories of logged values as dicts, and numpy's arrays and numbers as torch's and Python's."""
    if isinstance(part, HistoryBuffer):
        values, counts = part.data
        return dict(log_history=torch.tensor(values), count_history=torch.tensor(counts), max_length=part.max_length)
    if isinstance(part, dict):
        return type(part)((key, as_plain(value)) for key, value in part.items())
    if type(part) in (list, tuple):
        return type(part)(map(as_plain, part))
    if isinstance(part, np.ndarray) and part.dtype.kind in 'biuf':
        return torch.tensor(part)
    return part.item() if isinstance(part, np.generic) else part


def with_histories(scalars: dict) -> dict:
    """Logged values by name, as :func:`as_plain` left them, as the histories that they were."""
    return {name: _history(value) if _stands_for_history(value) else value for name, value in scalars.items()}


def _stands_for_history(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == HISTORY


def _history(value: dict) -> HistoryBuffer:
    # mmengine loads a run's checkpoint onto its GPU.
    arrays = {key: value[key].cpu().numpy() for key in ('log_history', 'count_history')}
    return HistoryBuffer(**arrays, max_length=value['max_length'])
