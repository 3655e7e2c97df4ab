"""The U-shaped decoder of UNETR (arXiv 2103.10504) on Hiera's four maps of a volume."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.errors import require_extra

from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

IN_PLANE_STRIDE = (1, 2, 2)
"""Hiera pools height and width; its depth stays at stride 2 from the patch embedding on."""


@MODELS.register_module()
class UNETRDecoder(BaseModule):
    """Computes logits for every voxel from Hiera's maps and the volume itself.

    As in Swin UNETR (arXiv 2201.01266), each map passes a residual block of convolutions and is joined to the next
    finer one after a transposed convolution; two blocks on the volume provide the strides (1, 1, 1) and (1, 2, 2), for
    which Hiera has no maps. All blocks are MONAI's, with instance norm.

    Args:
        num_classes: Classes, including the background.
        in_channels: Channels of Hiera's four maps.
        channels: Channels at full resolution; 2, 4, 8 and 16 times as many on the maps (``feature_size`` of Swin UNETR:
            24 or 48).
        image_channels: Channels of the volume.

    Raises:
        UserError: without MONAI.
    """

    def __init__(
        self, num_classes: int, in_channels: Sequence[int], channels: int = 48, image_channels: int = 1
    ) -> None:
        require_extra('monai', 'volumes')
        from monai.networks.blocks import UnetOutBlock, UnetrBasicBlock, UnetrUpBlock

        super().__init__()
        shared: dict[str, Any] = dict(spatial_dims=3, kernel_size=3, norm_name='instance', res_block=True)
        widths = [channels * 2**stage for stage in range(1, 5)]
        self.num_classes = num_classes
        self.on_volume = UnetrBasicBlock(in_channels=image_channels, out_channels=channels, stride=1, **shared)
        self.on_half = UnetrBasicBlock(in_channels=channels, out_channels=channels, stride=IN_PLANE_STRIDE, **shared)
        self.skips = nn.ModuleList(
            UnetrBasicBlock(in_channels=given, out_channels=width, stride=1, **shared)
            for given, width in zip(in_channels, widths, strict=True)
        )
        steps = [*((2 * width, width, IN_PLANE_STRIDE) for width in widths[2::-1]), (widths[0], channels, (2, 2, 2))]
        self.ups = nn.ModuleList(
            UnetrUpBlock(in_channels=given, out_channels=width, upsample_kernel_size=step, **shared)
            for given, width, step in [*steps, (channels, channels, IN_PLANE_STRIDE)]
        )
        self.out = UnetOutBlock(spatial_dims=3, in_channels=channels, out_channels=num_classes)

    def forward(self, volume: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Logits ``(B, num_classes, D, H, W)``.

        Args:
            volume: ``(B, image_channels, D, H, W)``, ``D`` even, ``H`` and ``W`` multiples of 32.
            maps: The backbone's maps, of strides 4, 8, 16 and 32 in ``H`` and ``W``, and 2 in ``D``.
        """
        whole = self.on_volume(volume)
        *finer, coarsest = [skip(each) for skip, each in zip(self.skips, maps, strict=True)]
        joined = coarsest
        for up, skip in zip(self.ups, [*reversed(finer), self.on_half(whole), whole], strict=True):
            joined = up(joined, skip)
        return self.out(joined)
