"""Parameters, operations and loss of a forward pass of a segmentor."""

from collections.abc import Iterator, Sequence
from typing import Any

from hiera_mm.complexity import Parts, channels_of, count_macs, count_parameters

import torch
import torch.nn as nn
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import Tensor

USUAL_SIZE = (512, 512)
"""Height and width for which segmentors are counted."""


def segmentor_complexity(model: ConfigDict, height: int, width: int) -> Parts:
    """Parameters and MACs of backbone and decoder of a segmentor, for one image; the auxiliary head is only for
    training."""
    with torch.device('meta'):
        segmentor = MODELS.build(model).eval()
        backbone_macs, maps = count_macs(segmentor.backbone, torch.empty(1, channels_of(model), height, width))
    head_macs, _ = count_macs(segmentor.decode_head, maps)
    return dict(
        backbone=(count_parameters(segmentor.backbone), backbone_macs),
        decode_head=(count_parameters(segmentor.decode_head), head_macs),
    )


def training_loss(model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
    """Cross-entropy of all heads, as the model computes it."""
    pixels = torch.empty(batch, channels_of(config), *shape)
    return torch.stack([_head_loss(logits) for logits in _head_logits(model, pixels)]).sum()


def _head_logits(model: Any, pixels: Tensor) -> Iterator[Tensor]:
    """The logits of each head, upsampled to the images' size as for the loss."""
    maps = model.extract_feat(pixels)
    auxiliary = getattr(model, 'auxiliary_head', None)
    heads = [] if auxiliary is None else auxiliary if isinstance(auxiliary, nn.ModuleList) else [auxiliary]
    for head in (model.decode_head, *heads):
        yield nn.functional.interpolate(head(maps), pixels.shape[-2:], mode='bilinear')


def _head_loss(logits: Tensor) -> Tensor:
    """Cross-entropy, and the sorting of logits that mmsegmentation's accuracy needs on a GPU."""
    batch, _, height, width = logits.shape
    loss = nn.functional.cross_entropy(logits.float(), torch.zeros(batch, height, width, dtype=torch.long))
    return loss + 0 * logits.sort(dim=1).values.float().mean()
