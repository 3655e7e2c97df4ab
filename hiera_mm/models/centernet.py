"""CenterNet's head on maps that lie in memory with their channels last."""

from mmdet.models.dense_heads import CenterNetHead as PlainCenterNetHead
from mmdet.registry import MODELS
from torch import Tensor


# Under mmdet's own name, so that CenterNet takes Hiera's maps as they are.
@MODELS.register_module(name='CenterNetHead', force=True)
class CenterNetHead(PlainCenterNetHead):
    """mmdet's ``CenterNetHead``, whose choice of the highest places (``view``) refuses such maps."""

    def forward_single(self, x: Tensor) -> tuple[Tensor, ...]:
        """As mmdet's, from a map ``(B, C, H, W)``."""
        return super().forward_single(x.contiguous())
