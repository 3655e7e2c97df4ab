"""Parameters, operations and loss of a forward pass of a masked autoencoder."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.complexity import Parts, channels_of, count_function_macs, count_parameters

import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS
from torch import Tensor


def autoencoder_complexity(model: ConfigDict) -> Parts:
    """Parameters and MACs of a masked autoencoder for one input of ``input_size``: the encoder on the
    kept mask units, and the decoder, with the fusion of stages, on all.
    """
    with torch.device('meta'):
        autoencoder = MODELS.build(model).eval()
        pixels = torch.empty(1, autoencoder.channels, *autoencoder.input_size)
        keep = autoencoder.random_keep(1, 'meta')
        kept = torch.empty(1, autoencoder.kept, dtype=torch.long)
    whole, _ = count_function_macs(autoencoder.reconstruct, pixels, keep)
    macs, _ = count_function_macs(autoencoder.backbone.forward_kept, pixels, kept)
    parameters = count_parameters(autoencoder.backbone)
    return dict(
        encoder=(parameters, macs),
        decoder=(count_parameters(autoencoder) - parameters, whole - macs),
    )


def training_loss(model: Any, config: ConfigDict, batch: int, shape: Sequence[int]) -> Tensor:
    """The loss of inputs of ``input_size``."""
    return model(torch.empty(batch, 1, channels_of(config), *config.input_size), mode='loss')['loss']
