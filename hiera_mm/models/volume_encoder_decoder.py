"""A model that predicts the class of every voxel of a volume."""

import math
from collections.abc import Sequence
from typing import Any

from hiera_mm.errors import UserError, require_extra
from hiera_mm.models.hiera import FRAME_STRIDE, UNIT_PIXELS

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement
from torch import Tensor


@MODELS.register_module(name=['VolumeEncoderDecoder', 'VolumeSegmentor'])
class VolumeEncoderDecoder(BaseModel):
    """Hiera for clips, with the slices of a volume as frames, and a decoder. Trains with MONAI's ``DiceCELoss`` (as
    Swin UNETR) and predicts in overlapping windows.

    Args:
        backbone: A ``Hiera`` config with ``num_frames``, and with ``in_channels`` as the volumes have them.
        decoder: Config of a decoder such as ``UNETRDecoder``.
        test_cfg: ``crop_size``, ``(D, H, W)`` of the windows; ``overlap``, the share by which they overlap, 0 to
            1; ``batch_size``, how many windows are computed at once.
        data_preprocessor, init_cfg: As for mmengine's models.

    Raises:
        UserError: without MONAI; for windows, and in training for crops, that can't be split into mask units.
    """

    def __init__(
        self,
        backbone: dict,
        decoder: dict,
        test_cfg: dict,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        require_extra('monai', 'volumes')
        from monai.losses import DiceCELoss

        super().__init__(data_preprocessor=data_preprocessor, init_cfg=init_cfg)
        self.backbone, self.decoder = MODELS.build(backbone), MODELS.build(decoder)
        self.test_cfg = test_cfg
        self.criterion = DiceCELoss(to_onehot_y=True, softmax=True)
        _check_size(test_cfg['crop_size'], 'model.test_cfg.crop_size')

    def forward(
        self, inputs: Tensor, data_samples: list[BaseDataElement] | None = None, mode: str = 'tensor'
    ) -> Tensor | dict[str, Tensor] | list[BaseDataElement]:
        """``mode='loss'``: the loss of crops; ``'predict'``: the samples with ``predicted``, ``(1, D, H, W)`` of
        unsigned bytes; otherwise logits ``(B * views, classes, D, H, W)`` of crops.

        Args:
            inputs: ``(B, views, channels, D, H, W)``; each view counts as an input.
            data_samples: For the loss, with ``label`` ``(views, 1, D, H, W)``.
        """
        volumes = inputs.flatten(0, 1)
        if mode == 'predict':
            return self._predicted(volumes, data_samples or [])
        logits = self.logits(volumes)
        if mode != 'loss':
            return logits
        labels = torch.cat([sample.label for sample in data_samples or []])
        # In half precision, sums over the voxels of a crop would overflow.
        return dict(loss=self.criterion(logits.float(), labels))

    def logits(self, volumes: Tensor) -> Tensor:
        """Logits ``(B, classes, D, H, W)`` of volumes ``(B, channels, D, H, W)``."""
        _check_size(volumes.shape[2:], 'a crop of the pipeline')
        return self.decoder(volumes, self.backbone(volumes))

    def _predicted(self, volumes: Tensor, samples: Sequence[BaseDataElement]) -> list[BaseDataElement]:
        from monai.inferers import sliding_window_inference

        for volume, sample in zip(volumes, samples, strict=True):
            logits: Any = sliding_window_inference(
                volume[None],
                roi_size=self.test_cfg['crop_size'],
                sw_batch_size=self.test_cfg['batch_size'],
                predictor=self.logits,
                overlap=self.test_cfg['overlap'],
            )
            sample.predicted = logits.argmax(dim=1).to(torch.uint8)
        return list(samples)


def _check_size(size: Sequence[int], what: str) -> None:
    depth, *sides = size
    filled = len(sides) == 2 and not depth % FRAME_STRIDE and not any(side % UNIT_PIXELS for side in sides)
    # Instance norm needs more than one position, and a single unit leaves one.
    if not filled or math.prod(size) < 2 * FRAME_STRIDE * UNIT_PIXELS**2:
        raise UserError(
            f"{what} is {tuple(size)}; Hiera's mask units need an even depth and a height and width that are multiples "
            f'of {UNIT_PIXELS}, (D, H, W), at least two units in all. Change crop_size at the top of the config, which '
            'is (W, H, D).'
        )
