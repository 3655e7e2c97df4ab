"""Converts what mmengine stores in a checkpoint besides tensors to data that ``torch.load`` accepts by default."""

from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

HISTORY_KEYS = {'log_history', 'count_history', 'max_length'}
"""Keys of a dict that represents a ``HistoryBuffer``, named like its arguments."""


def as_plain(part: Any) -> Any:
    """Convert histories of logged values to dicts, and numpy arrays and numbers to torch's and Python's."""
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
    """Convert logged values by name from :func:`as_plain` back to histories."""
    return {name: _history(value) if _is_plain_history(value) else value for name, value in scalars.items()}


def _is_plain_history(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == HISTORY_KEYS


def _history(value: dict) -> HistoryBuffer:
    # mmengine loads a checkpoint to the GPU.
    arrays = {key: value[key].cpu().numpy() for key in ('log_history', 'count_history')}
    return HistoryBuffer(**arrays, max_length=value['max_length'])
