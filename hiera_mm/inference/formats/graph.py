"""Models as modules from tensors to tensors of fixed counts, which can be exported whole."""

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
        inputs: An example of each, with a batch of two.
        outputs: Names of the outputs.
        note: A sentence that a user should read; empty if there is none.
        described: What its exported file has to say besides the classes and the config.
    """

    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: list[str]
    note: str = ''
    described: dict[str, Any] = field(default_factory=dict)


class Normalised(nn.Module):
    """A model whose input is pixels of 0 to 255, RGB; they are normalised as its data preprocessor does it.

    Args:
        preprocessor: Of mmdet or mmaction2.
        axes: Of the pixels: 4 for pictures ``(B, 3, H, W)``, 5 for clips ``(B, 3, T, H, W)``.
    """

    def __init__(self, preprocessor: Any, axes: int) -> None:
        super().__init__()
        shape = (3,) + (1,) * (axes - 2)
        # Of models that see blue first.
        self.flipped = axes == 4 and getattr(preprocessor, '_channel_conversion', True) is False
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer('mean', preprocessor.mean.detach().clone().reshape(shape), persistent=False)
        self.register_buffer('deviation', preprocessor.std.detach().clone().reshape(shape), persistent=False)

    def normalised(self, pixels: Tensor) -> Tensor:
        pixels = pixels.flip(1) if self.flipped else pixels
        return (pixels.float() - self.mean) / self.deviation


def within(pixels: Tensor, sizes: Tensor) -> Tensor:
    """Zeros where no picture is, as data preprocessors pad."""
    rows = torch.arange(pixels.shape[2], device=pixels.device) < sizes[:, :1]
    columns = torch.arange(pixels.shape[3], device=pixels.device) < sizes[:, 1:]
    return pixels * (rows[:, None, :, None] & columns[:, None, None, :])


def aligned(layer: Any, level_map: Tensor, regions: Tensor) -> Tensor:
    return roi_align(
        level_map, regions, layer.output_size, layer.spatial_scale, layer.sampling_ratio, aligned=layer.aligned
    )


def image_inputs(size: tuple[int, int]) -> dict[str, Tensor]:
    """Two images of a size, with the size of each."""
    return dict(pixels=torch.zeros(2, 3, *size, dtype=torch.uint8), sizes=torch.tensor([list(size)] * 2))


def resized_to(pipeline: Sequence[ConfigDict], source: str) -> tuple[int, int]:
    """The size to which a test pipeline resizes images; ``source`` is the model's name in messages.

    Raises:
        UserError: if it does not say so.
    """
    resizes = [step for step in pipeline if step.type == 'Resize' and 'scale' in step]
    if not resizes:
        raise UserError(
            f"The test pipeline of '{source}' does not say to which size images are resized; say it: --size "
            'HEIGHT WIDTH.'
        )
    return tuple(resizes[-1].scale)


def note_of_padding(size: tuple[int, int], divisor: int, hint: str = '') -> str:
    """The sentence for a file that pads images more than the model does."""
    return (
        f'The file pads every image to {size[0]} x {size[1]} pixels, PyTorch to multiples of {divisor}: what they find '
        f'may differ a little{hint}.'
    )
