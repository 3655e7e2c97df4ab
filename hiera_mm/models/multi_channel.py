"""Data preprocessors of detectors and segmentors for images of other than three channels; mmdet's and mmsegmentation's
own take one or three."""

import importlib.util
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models import DetDataPreprocessor
from mmengine.model import ImgDataPreprocessor
from mmengine.registry import MODELS


class _AnyChannels(ImgDataPreprocessor):
    def __init__(self, mean: Sequence[float], std: Sequence[float], **others: Any) -> None:
        super().__init__(**others)
        self.register_buffer('mean', torch.tensor(mean).reshape(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).reshape(-1, 1, 1), persistent=False)
        self._enable_normalize = True


@MODELS.register_module()
class MultiChannelDetDataPreprocessor(_AnyChannels, DetDataPreprocessor):
    """mmdet's ``DetDataPreprocessor`` for any number of channels.

    Args:
        mean, std: A number for each channel, in the units of the pixels.
        **others: As for ``DetDataPreprocessor``.
    """


if importlib.util.find_spec('mmseg') is not None:
    from mmseg.models import SegDataPreProcessor

    @MODELS.register_module()
    class MultiChannelSegDataPreProcessor(_AnyChannels, SegDataPreProcessor):
        """mmsegmentation's ``SegDataPreProcessor`` for any number of channels.

        Args:
            mean, std: A number for each channel, in the units of the pixels.
            **others: As for ``SegDataPreProcessor``.
        """
