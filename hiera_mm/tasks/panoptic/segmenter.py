"""The predictor of panoptic segmentation."""

from collections.abc import Mapping, Sequence

from hiera_mm.inference.frame_predictor import FramePredictor
from hiera_mm.inference.images import ImageInput, one_or_several
from hiera_mm.inference.running import running
from hiera_mm.tasks.panoptic.results import PanopticSegmentation, prediction_of

from mmengine.dataset import pseudo_collate


class PanopticSegmenter(FramePredictor):
    """Predicts files and arrays with a panoptic model of mmdet."""

    @property
    def things(self) -> int:
        """How many of the classes, the first ones, are things."""
        return self.trained.config.model.panoptic_head.num_things_classes

    def predict(
        self, pictures: ImageInput | Mapping | Sequence[ImageInput | Mapping]
    ) -> PanopticSegmentation | list[PanopticSegmentation]:
        """Segment one image, or each of a list, which is computed as one batch.

        Args:
            pictures: Paths, RGB arrays ``(H, W, 3)`` of unsigned bytes, Pillow's images, or dicts of ``img_path`` with
                the intended ``width`` and ``height``, in case EXIF data turn the image.

        Raises:
            BrokenFileError: for a file that is missing or not an image.
            UserError: for an array of another shape or type.
        """
        return one_or_several(self._segment, pictures)

    def _segment(self, pictures: Sequence[ImageInput | Mapping]) -> list[PanopticSegmentation]:
        with running(self.trained):
            batch = pseudo_collate([self.prepared(image) for image in pictures])
            samples = self.trained.model.test_step(batch)
        return [prediction_of(sample, self.names, self.things) for sample in samples]
