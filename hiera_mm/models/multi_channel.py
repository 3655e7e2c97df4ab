"""The data preprocessor of detectors for images of other than three channels."""

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models import DetDataPreprocessor
from mmengine.registry import MODELS


@MODELS.register_module()
class MultiChannelDetDataPreprocessor(DetDataPreprocessor):
    """mmdet's ``DetDataPreprocessor``, which takes 1 or 3 channels, for any number of them.

    Args:
        mean, std: A number for each channel, in the units of the pixels.
        **others: As for ``DetDataPreprocessor``.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], **others: Any) -> None:
        super().__init__(**others)
        self.register_buffer('mean', torch.tensor(mean).reshape(-1, 1, 1), persistent=False)
        self.register_buffer('std', torch.tensor(std).reshape(-1, 1, 1), persistent=False)
        self._enable_normalize = True
