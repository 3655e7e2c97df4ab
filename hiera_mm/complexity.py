"""Counts parameters and multiply-accumulates (MACs) of modules, including attention."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn as nn
from mmengine.config import ConfigDict
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

Parts = dict[str, tuple[int, int]]
"""Parameters and MACs of each part of a model."""


def count_macs(module: nn.Module, *inputs: Tensor | Sequence[Tensor]) -> tuple[int, Any]:
    """MACs of one forward pass, and its output; tensors may be on ``meta``.

    Counts convolutions, linear layers and scaled dot-product attention, which mmengine's and fvcore's
    counters miss. Papers usually call these FLOPs.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    # torch's counter fails on views of parameters that require gradients.
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
    """The number of input channels of a model: three unless its backbone says otherwise."""
    return model.backbone.get('in_channels', 3)
