"""The class of every pixel of pictures."""

from collections.abc import Iterator, Sequence

from hiera_mm.inference.frame_predictor import FramePredictor
from hiera_mm.inference.images import Picture, one_or_several
from hiera_mm.inference.loading import in_scope
from hiera_mm.tasks.segmentation.results import Segmentation

import numpy as np
import torch
from mmengine.dataset import pseudo_collate


class Segmenter(FramePredictor):
    """A segmentor of mmsegmentation that takes files and arrays."""

    def predict(self, pictures: Picture | Sequence[Picture]) -> Segmentation | list[Segmentation]:
        """The classes of one picture's pixels, or a list of them for a list of pictures.

        Args:
            pictures: Paths, RGB arrays ``(H, W, 3)`` of unsigned bytes, or Pillow's images.

        Raises:
            BrokenFileError: for a file that is missing or no picture.
            UserError: for an array of another form.
        """
        return one_or_several(self._of, pictures)

    @torch.no_grad()
    def _of(self, pictures: Sequence[Picture]) -> list[Segmentation]:
        with in_scope(self.trained.config):
            samples = [self.prepared(picture) for picture in pictures]
            found = []
            for together in _of_one_size(samples):
                for sample in self.trained.model.test_step(pseudo_collate(together)):
                    labels = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
                    found.append(Segmentation(labels, self.names))
        return found


def _of_one_size(samples: Sequence[dict]) -> Iterator[list[dict]]:
    """Neighbours that can be computed together, as mmsegmentation stacks what it tests."""
    together: list[dict] = []
    for sample in samples:
        if together and together[-1]['inputs'].shape != sample['inputs'].shape:
            yield together
            together = []
        together.append(sample)
    if together:
        yield together
