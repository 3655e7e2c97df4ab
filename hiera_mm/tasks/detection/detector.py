"""The predictor of detection."""

from collections.abc import Mapping, Sequence

from hiera_mm.inference.frame_predictor import FramePredictor
from hiera_mm.inference.images import ImageInput, one_or_several
from hiera_mm.inference.running import running
from hiera_mm.tasks.detection.heads import predicts_masks
from hiera_mm.tasks.detection.results import Detections, detections_from
from hiera_mm.tasks.detection.sure_masks import can_choose_masks, masks_from
from hiera_mm.tasks.detection.tiles import Tiles, predict_in_tiles

from mmengine.dataset import pseudo_collate


class Detector(FramePredictor):
    """Predicts files and arrays with a detector of mmdet."""

    @property
    def predicts_masks(self) -> bool:
        """Whether objects have masks."""
        return predicts_masks(self.trained.config.model)

    def predict(
        self,
        pictures: ImageInput | Mapping | Sequence[ImageInput | Mapping],
        tiles: Tiles | None = None,
        mask_score_thr: float = 0,
    ) -> Detections | list[Detections]:
        """Detect objects in one image, or in each of a list, which is computed as one batch.

        Args:
            pictures: Paths, RGB arrays ``(H, W, 3)`` of unsigned bytes, Pillow's images, or dicts of ``img_path`` with
                the intended ``width`` and ``height``, in case EXIF data turn the image.
            tiles: Cuts each image into tiles, to find small objects with the memory of one tile.
            mask_score_thr: Score from which objects get masks; most have a low score, and their masks take time.

        Raises:
            BrokenFileError: for a file that is missing or not an image.
            UserError: for an array of another shape or type.
        """
        if tiles is None:
            found = one_or_several(lambda given: self._detect(given, mask_score_thr), pictures)
        else:
            # The objects of neighbouring tiles are compared by their masks.
            found = one_or_several(lambda given: [self._in_tiles(image, tiles) for image in given], pictures)
        if not mask_score_thr > 0:
            return found
        return one_or_several(lambda given: [one.with_masks_from(mask_score_thr) for one in given], found)

    def _in_tiles(self, image: ImageInput | Mapping, tiles: Tiles) -> Detections:
        return predict_in_tiles(lambda tile: self._detect([tile])[0], self.decoded(image), tiles, self.predicts_masks)

    def _detect(self, pictures: Sequence[ImageInput | Mapping], mask_score_thr: float = 0) -> list[Detections]:
        model = self.trained.model
        with running(self.trained):
            batch = pseudo_collate([self.prepared(image) for image in pictures])
            if not (mask_score_thr > 0 and can_choose_masks(model)):
                return [detections_from(sample.cpu(), self.names) for sample in model.test_step(batch)]
            with masks_from(model.roi_head, mask_score_thr) as sure:
                predicted = model.test_step(batch)
        pairs = zip(predicted, sure, strict=True)
        return [detections_from(sample.cpu(), self.names, masked) for sample, masked in pairs]
