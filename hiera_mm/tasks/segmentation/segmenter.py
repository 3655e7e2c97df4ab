"""The predictor of semantic segmentation."""

from collections.abc import Iterator, Sequence

from hiera_mm.inference.frame_predictor import FramePredictor
from hiera_mm.inference.images import ImageInput, one_or_several
from hiera_mm.inference.loading import in_scope
from hiera_mm.tasks.segmentation.results import Segmentation

import numpy as np
import torch
from mmengine.dataset import pseudo_collate


class Segmenter(FramePredictor):
    """Predicts files and arrays with a segmentor of mmsegmentation."""

    def predict(self, pictures: ImageInput | Sequence[ImageInput]) -> Segmentation | list[Segmentation]:
        """Segment one image, or each of a list.

        Args:
            pictures: Paths, RGB arrays ``(H, W, 3)`` of unsigned bytes, or Pillow's images.

        Raises:
            BrokenFileError: for a file that is missing or not an image.
            UserError: for an array of another shape or type.
        """
        return one_or_several(self._segment, pictures)

    @torch.no_grad()
    def _segment(self, pictures: Sequence[ImageInput]) -> list[Segmentation]:
        with in_scope(self.trained.config):
            samples = [self.prepared(image) for image in pictures]
            found = []
            for together in _batches_of_equal_size(samples):
                for sample in self.trained.model.test_step(pseudo_collate(together)):
                    labels = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.uint8)
                    found.append(Segmentation(labels, self.names))
        return found


def _batches_of_equal_size(samples: Sequence[dict]) -> Iterator[list[dict]]:
    """Group consecutive samples of equal size, since mmsegmentation stacks a batch."""
    together: list[dict] = []
    for sample in samples:
        if together and together[-1]['inputs'].shape != sample['inputs'].shape:
            yield together
            together = []
        together.append(sample)
    if together:
        yield together
