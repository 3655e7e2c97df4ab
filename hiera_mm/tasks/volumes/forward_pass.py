"""Parameters, operations and loss of a forward pass of a volume segmentor."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.complexity import Parts, channels_of, count_function_macs, count_macs, count_parameters

import torch
import torch.nn as nn
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import Tensor


def volume_complexity(model: ConfigDict) -> Parts:
    """Parameters and MACs of backbone and decoder of a segmentor of volumes, for one crop of ``test_cfg.crop_size``."""
    with torch.device('meta'):
        backbone, decoder = MODELS.build(model.backbone).eval(), MODELS.build(model.decoder).eval()
        crop = torch.empty(1, channels_of(model), *model.test_cfg.crop_size)
    backbone_macs, maps = count_macs(backbone, crop)
    decoder_macs, _ = count_function_macs(decoder, crop, maps)
    return dict(backbone=(count_parameters(backbone), backbone_macs), decoder=(count_parameters(decoder), decoder_macs))


def training_loss(model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
    """A substitute for MONAI's loss of a batch of crops with the same tensors; MONAI's reads values."""
    crops = torch.empty(batch, channels_of(config), *config.test_cfg.crop_size)
    return _dice_and_entropy(model.logits(crops).float())


def _dice_and_entropy(logits: Tensor) -> Tensor:
    labels = torch.zeros(len(logits), *logits.shape[2:], dtype=torch.long)
    shares, truth = logits.softmax(dim=1), torch.zeros_like(logits).scatter_(1, labels[:, None], 1)
    return (truth * shares).sum() + truth.sum() + shares.sum() + nn.functional.cross_entropy(logits, labels)
