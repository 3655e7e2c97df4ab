"""Parameters, operations and loss of a forward pass of an action detector."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.complexity import Parts, channels_of, count_macs, count_parameters

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import Tensor

USUAL_SIZE = (224, 224)
"""Height and width for which action detectors are counted."""

PERSONS_PER_CLIP = 4
"""Typical number of persons per clip in training."""


def action_detector_complexity(model: ConfigDict, height: int, width: int) -> Parts:
    """Parameters and MACs of backbone and head of an action detector, for one clip with one person."""
    with torch.device('meta'):
        detector = MODELS.build(model)
        clip = torch.empty(1, channels_of(model), model.backbone.num_frames, height, width)
        backbone_macs, maps = count_macs(detector.backbone, clip)
        extractor, head = detector.roi_head.bbox_roi_extractor, detector.roi_head.bbox_head
        head_macs, _ = count_macs(head, torch.empty(1, maps[-1].shape[1], 1, *[extractor.output_size] * 2))
    return dict(
        backbone=(count_parameters(detector.backbone), backbone_macs), roi_head=(count_parameters(head), head_macs)
    )


def training_loss(model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
    """A scalar that depends on the head's outputs for a few persons per clip."""
    maps = model.backbone(torch.empty(batch, channels_of(config), config.backbone.num_frames, *shape))
    regions, _ = model.roi_head.bbox_roi_extractor(maps, torch.zeros(PERSONS_PER_CLIP * batch, 5))
    return model.roi_head.bbox_head(regions).float().mean()
