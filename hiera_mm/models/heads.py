"""Classification heads, for mmaction2's recognisers."""

from hiera_mm.errors import require_extra

import torch.nn as nn
from mmaction.models.heads import BaseHead
from mmengine.registry import MODELS
from torch import Tensor

HEAD_WIDTH = 64
"""Channels per head of the pooling attention."""


@MODELS.register_module()
class HieraHead(BaseHead):
    """Mean over all tokens of the last map, then LayerNorm, dropout and a linear layer to logits.

    The official model's order (its code; paper, section 3): the norm comes after the mean. Unlike the official
    head it gives logits in evaluation too; ``average_clips='prob'`` turns them into probabilities, once.

    Args:
        num_classes: Classes.
        in_channels: Channels of the last map.
        dropout_ratio: Dropout before the linear layer (paper, tables 11 to 14).
        init_scale: Factor on the initial weights and biases of the linear layer.
        loss_cls, label_smooth_eps, topk, average_clips, init_cfg: As for mmaction2's heads.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        dropout_ratio: float = 0.0,
        init_scale: float = 0.001,
        loss_cls: dict | None = None,
        label_smooth_eps: float = 0.0,
        topk: int | tuple[int, ...] = (1, 5),
        average_clips: str | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            in_channels=in_channels,
            loss_cls=loss_cls or dict(type='mmaction.CrossEntropyLoss', loss_weight=1.0),
            label_smooth_eps=label_smooth_eps,
            topk=topk,
            average_clips=average_clips,
            init_cfg=init_cfg,
        )
        self.norm = nn.LayerNorm(in_channels, eps=1e-6)
        self.dropout = nn.Dropout(dropout_ratio)
        self.projection = nn.Linear(in_channels, num_classes)
        nn.init.constant_(self.norm.bias, 0.02)
        nn.init.trunc_normal_(self.projection.weight, std=0.02)
        nn.init.constant_(self.projection.bias, 0.02)
        for parameter in self.projection.parameters():
            parameter.data.mul_(init_scale)

    def forward(self, maps: tuple[Tensor, ...] | Tensor, **_: object) -> Tensor:
        """Logits ``(B, num_classes)`` of the last of several maps ``(B, C, ...)``, or of one map.

        They are float32, since mmaction2's accuracy goes through numpy, which has no bfloat16. Recognisers pass further
        arguments to every head; this one ignores them.
        """
        last = maps if isinstance(maps, Tensor) else maps[-1]
        return self.projection(self.dropout(self.pooled(last))).float()

    def pooled(self, last: Tensor) -> Tensor:
        """One vector per input, ``(B, C)``, from the last map ``(B, C, ...)``."""
        return self.norm(last.flatten(2).mean(dim=2))


@MODELS.register_module()
class AttentionPoolingHead(HieraHead):
    """Like :class:`HieraHead`, but a learned query attends over the tokens instead of taking their mean.

    From "Scaling vision transformers" (arXiv 2106.04560, section 3.2), as timm's ``AttentionPoolLatent``: norm,
    attention with heads of 64 channels, a block of two linear layers, then dropout and the linear layer to logits.

    Args:
        num_classes, in_channels, more: As for :class:`HieraHead`.

    Raises:
        UserError: without timm.
    """

    def __init__(self, num_classes: int, in_channels: int, **more) -> None:
        super().__init__(num_classes, in_channels, **more)
        require_extra('timm', 'timm')
        from timm.layers import AttentionPoolLatent

        heads = max(1, in_channels // HEAD_WIDTH)
        self.pool = AttentionPoolLatent(in_channels, num_heads=heads, norm_layer=nn.LayerNorm)

    def pooled(self, last: Tensor) -> Tensor:
        """Same as :meth:`HieraHead.pooled`."""
        return self.pool(self.norm(last.flatten(2).transpose(1, 2)))
