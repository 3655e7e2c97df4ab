"""Runs trained models: in the scope of their config, without gradients, and in half precision if that was asked for."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from hiera_mm.errors import UserError
from hiera_mm.inference.trained import TrainedModel

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch.nn.modules.conv import _ConvNd

HALVED = (nn.Linear, _ConvNd)
"""Modules that autocast computes in half precision, with weights that it would cast anew in each run."""


@contextmanager
def in_scope(config: Config) -> Iterator[None]:
    """A context in which types without a prefix are looked up as the config's runner would; one thread at a time, as
    mmengine keeps the scope for the whole process."""
    with _SCOPE, DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmengine')):
        yield


_SCOPE = threading.RLock()


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


def halve(model: nn.Module) -> None:
    """Cast the weights of linear layers and convolutions once, as autocast would in each run. Everything else, such as
    norms, positions and boxes, stays in float32."""
    for module in model.modules():
        if isinstance(module, HALVED):
            module.to(half_dtype(module.weight.device))


def half_dtype(device: torch.device) -> torch.dtype:
    """bfloat16; float16 on GPUs without it."""
    if device.type == 'cuda' and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def require_float32(trained: TrainedModel) -> None:
    """Check that a model can be written to a file.

    Raises:
        UserError: for a model in half precision.
    """
    if trained.half:
        raise UserError(f"'{trained.source}' was loaded in half precision; load it without half=True to export it.")
