"""Exported files as the network of a model."""

from collections.abc import Iterator, Sequence
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.inference.formats import Exported

import numpy as np
from mmengine.model import BaseModel
from torch import Tensor


class ExportedNetwork(BaseModel):
    """An exported file as the network of a model; each task defines its inputs and outputs."""

    def __init__(self, exported: Exported) -> None:
        super().__init__()
        self.session, self.size = exported.session, tuple(exported.described['size'])
        self.classes = exported.described.get('classes')

    def arrays(self, inputs: Sequence[Tensor], data_samples: Sequence[Any]) -> Iterator[dict[str, np.ndarray]]:
        """Convert the model's inputs to the file's, for one call of the file after the other."""
        raise NotImplementedError


class ExportedFrameNetwork(ExportedNetwork):
    """A file that takes images padded to one size at the bottom and right, and their true sizes."""

    def arrays(self, inputs: Sequence[Tensor], data_samples: Sequence[Any]) -> Iterator[dict[str, np.ndarray]]:
        """Convert all images to one batch."""
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
