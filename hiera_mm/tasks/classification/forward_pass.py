"""Parameters, operations and loss of a forward pass of a recogniser."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.complexity import Parts, channels_of, count_macs, count_parameters

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import Tensor

USUAL_SIZE = (224, 224)
"""Height and width for which recognisers are counted."""


def recogniser_complexity(model: ConfigDict, height: int, width: int) -> Parts:
    """Parameters and MACs of backbone and head of a recogniser, for one view of ``backbone.num_frames`` frames."""
    with torch.device('meta'):
        backbone, head = MODELS.build(model.backbone), MODELS.build(model.cls_head)
        frames = () if model.backbone.get('num_frames') is None else (model.backbone.num_frames,)
        backbone_macs, maps = count_macs(backbone, torch.empty(1, channels_of(model), *frames, height, width))
    head_macs, _ = count_macs(head, maps)
    return dict(backbone=(count_parameters(backbone), backbone_macs), cls_head=(count_parameters(head), head_macs))


def training_loss(model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
    """The head's loss."""
    frames = () if config.backbone.get('num_frames') is None else (config.backbone.num_frames,)
    pixels = torch.empty(batch, channels_of(config), *frames, *shape)
    scores = model(pixels[:, None], stage='head')
    return model.cls_head.loss_cls(scores, torch.empty(scores.shape))
