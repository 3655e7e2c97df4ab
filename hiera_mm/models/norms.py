"""The layer norm that ViTDet's necks and heads apply to feature maps."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class ChannelLayerNorm(nn.Module):
    """LayerNorm over the channels of each position of a map ``(B, C, H, W)``.

    detectron2's ``norm="LN"`` of the FPN and RoI heads, which the paper names (appendix A.2). As there, it
    is not an ``nn.LayerNorm``, so rules that exempt norms from weight decay (``norm_decay_mult``) don't apply to it.

    Args:
        num_features: Channels of the map.
        eps: Added to the variance.
    """

    def __init__(self, num_features: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.eps = eps

    def forward(self, feature_map: Tensor) -> Tensor:
        channels_last = feature_map.permute(0, 2, 3, 1)
        normalised = F.layer_norm(channels_last, self.weight.shape, self.weight, self.bias, self.eps)
        return normalised.permute(0, 3, 1, 2)
