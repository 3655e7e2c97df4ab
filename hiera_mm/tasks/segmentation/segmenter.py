"""The predictor of semantic segmentation."""

from collections.abc import Iterator, Sequence

from hiera_mm.inference.frame_predictor import FramePredictor
from hiera_mm.inference.images import ImageInput, one_or_several
from hiera_mm.inference.running import running
from hiera_mm.tasks.segmentation.large_images import is_large, labels_of_large
from hiera_mm.tasks.segmentation.results import Segmentation

import numpy as np
from mmcv.transforms import Resize
from mmengine.dataset import pseudo_collate
from mmseg.models import EncoderDecoder


class Segmenter(FramePredictor):
    """Predicts files and arrays with a segmentor of mmsegmentation."""

    def predict(
        self, pictures: ImageInput | Sequence[ImageInput], full_size: bool = False
    ) -> Segmentation | list[Segmentation]:
        """Segment one image, or each of a list.

        Args:
            pictures: Paths, RGB arrays ``(H, W, 3)`` of unsigned bytes, or Pillow's images.
            full_size: Whether to leave out the pipeline's resizing, which shrinks large images. Models with windows
                take images of any size then.

        Raises:
            BrokenFileError: for a file that is missing or not an image.
            UserError: for an array of another shape or type.
        """
        return one_or_several(lambda given: self._segment(given, full_size), pictures)

    def _segment(self, pictures: Sequence[ImageInput], full_size: bool) -> list[Segmentation]:
        with running(self.trained):
            samples = [self.prepared(image, without=(Resize,) if full_size else ()) for image in pictures]
            model, found = self.trained.model, []
            for together in _batches_of_equal_size(samples):
                if isinstance(model, EncoderDecoder) and is_large(model, together[0]):
                    labels = (labels_of_large(model, pseudo_collate([sample])) for sample in together)
                    found += [Segmentation(found_labels, self.names) for found_labels in labels]
                    continue
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
