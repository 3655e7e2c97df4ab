"""The predictor of detection."""

from collections.abc import Mapping, Sequence

from hiera_mm.inference.frame_predictor import FramePredictor
from hiera_mm.inference.images import ImageInput, one_or_several
from hiera_mm.inference.loading import in_scope
from hiera_mm.tasks.detection.heads import predicts_masks
from hiera_mm.tasks.detection.results import Detections, detections_from
from hiera_mm.tasks.detection.tiles import Tiles, predict_in_tiles

import torch
from mmengine.dataset import pseudo_collate


class Detector(FramePredictor):
    """Predicts files and arrays with a detector of mmdet."""

    @property
    def predicts_masks(self) -> bool:
        """Whether objects have masks."""
        return predicts_masks(self.trained.config.model)

    def predict(
        self, pictures: ImageInput | Mapping | Sequence[ImageInput | Mapping], tiles: Tiles | None = None
    ) -> Detections | list[Detections]:
        """Detect objects in one image, or in each of a list, which is computed as one batch.

        Args:
            pictures: Paths, RGB arrays ``(H, W, 3)`` of unsigned bytes, Pillow's images, or dicts of ``img_path`` with
                the intended ``width`` and ``height``, in case EXIF data turn the image.
            tiles: Cuts each image into tiles, to find small objects with the memory of one tile.

        Raises:
            BrokenFileError: for a file that is missing or not an image.
            UserError: for an array of another shape or type.
        """
        if tiles is None:
            return one_or_several(self._detect, pictures)
        return one_or_several(lambda given: [self._in_tiles(image, tiles) for image in given], pictures)

    def _in_tiles(self, image: ImageInput | Mapping, tiles: Tiles) -> Detections:
        return predict_in_tiles(lambda tile: self._detect([tile])[0], self.decoded(image), tiles, self.predicts_masks)

    @torch.no_grad()
    def _detect(self, pictures: Sequence[ImageInput | Mapping]) -> list[Detections]:
        with in_scope(self.trained.config):
            samples = [self.prepared(image) for image in pictures]
            predicted = self.trained.model.test_step(pseudo_collate(samples))
        return [detections_from(sample.cpu(), self.names) for sample in predicted]
