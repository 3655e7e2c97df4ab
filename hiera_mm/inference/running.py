"""Runs trained models: in the scope of their config, without gradients, and in half precision if that was asked for."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from hiera_mm.config import in_scope
from hiera_mm.errors import UserError
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.models.half_precision import half_dtype

import torch


@contextmanager
def running(trained: TrainedModel) -> Iterator[None]:
    """A context in which a model predicts."""
    with in_scope(trained.config), torch.no_grad(), _precision(trained):
        yield


def _precision(trained: TrainedModel) -> AbstractContextManager:
    if not trained.half:
        return nullcontext()
    device = next(trained.model.parameters()).device
    return torch.autocast(device.type, half_dtype(device))


def require_float32(trained: TrainedModel) -> None:
    """Check that a model can be written to a file.

    Raises:
        UserError: for a model in half precision.
    """
    if trained.half:
        raise UserError(f"'{trained.source}' was loaded in half precision; load it without half=True to export it.")
