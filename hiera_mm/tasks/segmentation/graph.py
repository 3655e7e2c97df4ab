"""Segmentors as exportable graphs, and exported files as segmentors."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.inference.formats.graph import Graph, Normalised, image_inputs, padding_note, resized_to, zero_padding
from hiera_mm.inference.formats.network import ExportedFrameNetwork
from hiera_mm.tasks.segmentation.segmenter import Segmenter

import torch
import torch.nn as nn
from mmengine.structures import PixelData
from torch import Tensor


def graph_of_segmenter(segmenter: Segmenter, size: tuple[int, int] | None) -> Graph:
    """The exportable graph of a segmentor.

    Args:
        segmenter: The model.
        size: Height and width of the pixels; by default those of the test pipeline.

    Raises:
        UserError: for a model with one output for two classes, or a pipeline without a single size.
    """
    trained = segmenter.trained
    if len(segmenter.names) != trained.model.out_channels:
        raise UserError(f"'{trained.source}' has one output for two classes, which can't be exported.")
    divisor = (trained.model.data_preprocessor.test_cfg or {}).get('size_divisor') or 1
    if size is None:
        sides = resized_to(trained.test_pipeline, trained.source)
        if len(set(sides)) > 1:
            raise UserError(
                f"Images may have any shape up to {max(sides)} pixels per side when '{trained.source}' is tested; set "
                'the size to which they are padded: --size HEIGHT WIDTH.'
            )
        size = (-(-sides[0] // divisor) * divisor,) * 2
    note = padding_note(size, divisor) if divisor < max(size) else ''
    return Graph(SegmenterGraph(trained.model), image_inputs(size), ['logits'], note)


class SegmenterGraph(Normalised):
    """Pixels ``(B, 3, H, W)`` and ``sizes`` ``(B, 2)``, the height and width of each image, which lies in the upper
    left corner, to logits ``(B, classes, H, W)``.

    Args:
        model: A segmentor of mmsegmentation, tested on whole images or in windows.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model.data_preprocessor, axes=4)
        self.model: Any = model

    def forward(self, pixels: Tensor, sizes: Tensor) -> Tensor:
        inside = zero_padding(self.normalised(pixels), sizes)
        height, width = int(pixels.shape[2]), int(pixels.shape[3])
        # Metadata of one image only, as the batch size is not fixed.
        return self.model.inference(inside, [dict.fromkeys(('ori_shape', 'img_shape', 'pad_shape'), (height, width))])


class ExportedSegmenter(ExportedFrameNetwork):
    """An exported segmentor with the interface of mmsegmentation's models in testing."""

    def forward(self, inputs: Sequence[Tensor], data_samples: Sequence[Any], mode: str = 'predict') -> list:
        """Add ``pred_sem_seg`` to the samples of BGR images ``(3, h, w)`` of 0 to 255."""
        (batch,) = self.arrays(inputs, data_samples)
        (logits,) = self.session(**batch)
        for sample, (height, width), logit in zip(data_samples, batch['sizes'], logits, strict=True):
            inside = torch.from_numpy(logit[None, :, :height, :width])
            resized = nn.functional.interpolate(inside, tuple(sample.ori_shape[:2]), mode='bilinear')
            sample.pred_sem_seg = PixelData(data=resized.argmax(1))
        return list(data_samples)
