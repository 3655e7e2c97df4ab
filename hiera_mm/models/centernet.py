"""CenterNet's head for maps in channels-last memory format."""

from mmdet.models.dense_heads import CenterNetHead as PlainCenterNetHead
from mmdet.registry import MODELS
from torch import Tensor


# Under mmdet's own name, so that CenterNet takes Hiera's maps directly.
@MODELS.register_module(name='CenterNetHead', force=True)
class CenterNetHead(PlainCenterNetHead):
    """mmdet's ``CenterNetHead``, whose ``view`` of the peaks refuses maps in channels-last memory format."""

    def forward_single(self, x: Tensor) -> tuple[Tensor, ...]:
        """Same as mmdet's, for a map ``(B, C, H, W)``."""
        return super().forward_single(x.contiguous())
