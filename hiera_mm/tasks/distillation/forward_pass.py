"""Parameters, operations and loss of a forward pass of a distillation."""

import copy
from collections.abc import Sequence
from typing import Any

from hiera_mm.complexity import Parts, channels_of, count_function_macs, count_macs, count_parameters
from hiera_mm.models.half_precision import halve, is_autocast

import torch
import torch.nn as nn
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import Tensor


def distillation_complexity(model: ConfigDict, shape: Sequence[int]) -> Parts:
    """Parameters and MACs of student, linear layers and teacher, for one image of a height and width."""
    model = copy.deepcopy(model)
    for backbone in (model.backbone, model.teacher):
        backbone.pop('init_cfg', None)
    with torch.device('meta'):
        built = MODELS.build(model).eval()
        pixels = torch.empty(1, channels_of(model), *shape)
    # All units, also with masks, which leave some out.
    student, maps = count_macs(built.backbone, pixels)
    teacher, taught = count_macs(built.teacher, pixels)
    tokens = [one.flatten(2).transpose(1, 2) for one in maps]
    linear = sum(count_function_macs(layer, one)[0] for layer, one in zip(built.projections, tokens, strict=True))
    return dict(
        student=(count_parameters(built.backbone), student),
        projections=(count_parameters(built.projections), linear),
        teacher=(count_parameters(built.teacher), teacher),
    )


def training_loss(model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
    """The sum of the losses of all stages, with the memory that the teacher takes."""
    pixels = torch.empty(batch, 1, channels_of(config), *shape)
    # Anew each time, so that they count in each step.
    _draw_zeros(model.teacher, pixels.device)
    if is_autocast(pixels):
        halve(model.teacher)
    model.teacher._is_init, model.maps, model.placed = True, None, pixels.device
    return sum(model(pixels, mode='loss').values(), torch.zeros(()))


def _draw_zeros(module: nn.Module, device: torch.device) -> None:
    """Replace all weights and buffers by zeros on a device, also where they are torch's fake tensors."""
    for part in module.modules():
        for name, weight in [*part.named_parameters(recurse=False)]:
            zeros = torch.zeros(weight.shape, device=device)
            setattr(part, name, nn.Parameter(zeros, requires_grad=False))
        for name, buffer in [*part.named_buffers(recurse=False)]:
            setattr(part, name, torch.zeros(buffer.shape, dtype=buffer.dtype, device=device))
