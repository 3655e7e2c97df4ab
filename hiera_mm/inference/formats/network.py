"""Exported files in the place of a model's network."""

from collections.abc import Iterator, Sequence
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.inference.formats import Exported

import numpy as np
from mmengine.model import BaseModel
from torch import Tensor


class ExportedNetwork(BaseModel):
    """An exported file in the place of a model's network. Each task says what its file takes and gives."""

    def __init__(self, exported: Exported) -> None:
        super().__init__()
        self.session, self.size = exported.session, tuple(exported.described['size'])
        self.classes = exported.described.get('classes')

    def arrays(self, inputs: Sequence[Tensor], data_samples: Sequence[Any]) -> Iterator[dict[str, np.ndarray]]:
        """From what the model takes to what the file takes, one call of the file after the other."""
        raise NotImplementedError


class ExportedFrameNetwork(ExportedNetwork):
    """A file that takes images of one size, each at the upper left of its pixels, and their true sizes."""

    def arrays(self, inputs: Sequence[Tensor], data_samples: Sequence[Any]) -> Iterator[dict[str, np.ndarray]]:
        """All images as one batch."""
        pixels = np.zeros((len(inputs), 3, *self.size), np.uint8)
        for place, image in enumerate(inputs):
            height, width = image.shape[1:]
            if height > self.size[0] or width > self.size[1]:
                raise UserError(
                    f'An image has {height} x {width} pixels after the test pipeline, but the exported file takes '
                    f'{self.size[0]} x {self.size[1]}; export it again with --size.'
                )
            pixels[place, :, :height, :width] = image.flip(0).cpu().numpy()
        yield dict(pixels=pixels, sizes=np.array([sample.img_shape[:2] for sample in data_samples], np.int64))
