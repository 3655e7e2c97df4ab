"""Models as modules that can be exported as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hiera_mm.errors import UserError

import torch
import torch.nn as nn
from mmengine.config import ConfigDict
from torch import Tensor
from torchvision.ops import roi_align


@dataclass(frozen=True)
class Graph:
    """A module that can be exported.

    Attributes:
        module: Takes the inputs by name and gives the outputs in order.
        inputs: Example inputs by name, with a batch of two.
        outputs: Names of the outputs.
        note: A note for the user; may be empty.
        described: Description for the exported file, besides classes and config.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]
    note: str = ''
    described: dict[str, Any] = field(default_factory=dict)


class Normalised(nn.Module):
    """A model that takes RGB pixels of 0 to 255, and normalises them like its data preprocessor.

    Args:
        preprocessor: A data preprocessor of mmdet or mmaction2.
        axes: Axes of the pixels: 4 for images ``(B, 3, H, W)``, 5 for clips ``(B, 3, T, H, W)``.
    """

    def __init__(self, preprocessor: Any, axes: int) -> None:
        super().__init__()
        shape = (3,) + (1,) * (axes - 2)
        # For models that take BGR.
        self.flipped = axes == 4 and getattr(preprocessor, '_channel_conversion', True) is False
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer('mean', preprocessor.mean.detach().clone().reshape(shape), persistent=False)
        self.register_buffer('deviation', preprocessor.std.detach().clone().reshape(shape), persistent=False)

    def normalised(self, pixels: Tensor) -> Tensor:
        pixels = pixels.flip(1) if self.flipped else pixels
        return (pixels.float() - self.mean) / self.deviation


def zero_padding(pixels: Tensor, sizes: Tensor) -> Tensor:
    """Set pixels outside each image to 0, as data preprocessors pad."""
    rows = torch.arange(pixels.shape[2], device=pixels.device) < sizes[:, :1]
    columns = torch.arange(pixels.shape[3], device=pixels.device) < sizes[:, 1:]
    return pixels * (rows[:, None, :, None] & columns[:, None, None, :])


def aligned(layer: Any, level_map: Tensor, regions: Tensor) -> Tensor:
    return roi_align(
        level_map, regions, layer.output_size, layer.spatial_scale, layer.sampling_ratio, aligned=layer.aligned
    )


def image_inputs(size: tuple[int, int]) -> dict[str, Tensor]:
    """A batch of two images of a size, with their sizes."""
    return dict(pixels=torch.zeros(2, 3, *size, dtype=torch.uint8), sizes=torch.tensor([list(size)] * 2))


def resized_to(pipeline: Sequence[ConfigDict], source: str) -> tuple[int, int]:
    """The size to which a test pipeline resizes images; ``source`` is the model's name in messages.

    Raises:
        UserError: if the pipeline sets no size.
    """
    resizes = [step for step in pipeline if step.type == 'Resize' and 'scale' in step]
    if not resizes:
        raise UserError(
            f"The test pipeline of '{source}' does not set the size to which images are resized; set it: "
            '--size HEIGHT WIDTH.'
        )
    return tuple(resizes[-1].scale)


def padding_note(size: tuple[int, int], divisor: int, hint: str = '') -> str:
    """The note for a file that pads images more than the model does."""
    return (
        f'The file pads every image to {size[0]} x {size[1]} pixels, PyTorch to multiples of {divisor}: predictions '
        f'may differ slightly{hint}.'
    )
