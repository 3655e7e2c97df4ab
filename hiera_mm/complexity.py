"""Parameters and multiply-accumulates of modules, attention included, without computing anything."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn as nn
from mmengine.config import ConfigDict
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

Parts = dict[str, tuple[int, int]]
"""Parameters and multiply-accumulates by part of a model."""


def count_macs(module: nn.Module, *inputs: Tensor | Sequence[Tensor]) -> tuple[int, Any]:
    """Multiply-accumulates of one forward pass, and what the pass gives; tensors may be on ``meta``.

    Counts convolutions, linear layers and scaled dot-product attention, which mmengine's and fvcore's
    counters miss. The papers of the field call these FLOPs.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    # torch's counter stumbles over views of parameters that could be trained.
    module.eval().requires_grad_(False)
    try:
        return count_function_macs(module, *inputs)
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def count_function_macs(function: Callable[..., Any], *inputs: Tensor | Sequence[Tensor]) -> tuple[int, Any]:
    """As :func:`count_macs`, for any function of tensors whose modules are in evaluation mode."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        output = function(*inputs)
    return counter.get_total_flops() // 2, output


def count_parameters(module: nn.Module) -> int:
    """The number of parameters, whether they are trained or not."""
    return sum(parameter.numel() for parameter in module.parameters())


def channels_of(model: ConfigDict) -> int:
    """The number of channels that a model takes: three, where its backbone does not say otherwise."""
    return model.backbone.get('in_channels', 3)
