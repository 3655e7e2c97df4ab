"""The predictor of detection."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hiera_mm.errors import UserError, require_extra
from hiera_mm.inference.frame_predictor import FramePredictor
from hiera_mm.inference.images import ImageInput, one_or_several
from hiera_mm.inference.loading import in_scope
from hiera_mm.tasks.detection.results import Detections, RunLengths, detections_from

import numpy as np
import pycocotools.mask
import torch
from mmengine.dataset import pseudo_collate
from torchvision.ops import batched_nms

SAME_OBJECT_IOU = 0.5
"""Overlap (intersection over union) above which boxes of one class from two tiles are one object, as in the detectors'
own non-maximum suppression."""


class Tiles(NamedTuple):
    """How a large image is cut into tiles.

    Attributes:
        side: Side of a tile, in pixels.
        overlap: Overlap of neighbouring tiles, as a share of the side; larger objects may be found in two parts.
    """

    side: int
    overlap: float = 0.2


class Detector(FramePredictor):
    """Predicts files and arrays with a detector of mmdet."""

    def predict(
        self, pictures: ImageInput | Mapping | Sequence[ImageInput | Mapping], tiles: Tiles | None = None
    ) -> Detections | list[Detections]:
        """Detect objects in one image, or in each of a list, which is computed as one batch.

        Args:
            pictures: Paths, RGB arrays ``(H, W, 3)`` of unsigned bytes, Pillow's images, or dicts of ``img_path`` with
                the intended ``width`` and ``height``, in case EXIF data turn the image.
            tiles: Cuts each image into tiles, to find small objects with the memory of one tile; needs the package
                supervision.

        Raises:
            BrokenFileError: for a file that is missing or not an image.
            UserError: for an array of another shape or type.
        """
        if tiles is None:
            return one_or_several(self._detect, pictures)
        return one_or_several(lambda given: [self._in_tiles(image, tiles) for image in given], pictures)

    @torch.no_grad()
    def _detect(self, pictures: Sequence[ImageInput | Mapping]) -> list[Detections]:
        with in_scope(self.trained.config):
            samples = [self.prepared(image) for image in pictures]
            predicted = self.trained.model.test_step(pseudo_collate(samples))
        return [detections_from(sample.cpu(), self.names) for sample in predicted]

    def _in_tiles(self, image: ImageInput | Mapping, tiles: Tiles) -> Detections:
        require_extra('supervision', 'data')
        import supervision

        if not (tiles.side > 0 and 0 <= tiles.overlap < 1):
            raise UserError(
                f'A tile needs a side above 0 and an overlap of at least 0 and below 1, but these are {tiles}.'
            )
        whole = self.decoded(image)
        slicer = supervision.InferenceSlicer(
            lambda tile: self._detect([tile])[0].to_supervision(),
            slice_wh=tiles.side,
            overlap_wh=int(tiles.side * tiles.overlap),
            overlap_filter='none',
            compact_masks=True,
        )
        return self._merged(slicer(whole), whole.shape[:2])

    def _merged(self, found: Any, size: tuple[int, int]) -> Detections:
        """Merge supervision's detections in all tiles of an image."""
        if not len(found):
            none = np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, int)
            return Detections(*none, self.names, size, [] if self.trained.model.with_mask else None)
        # By boxes, as within a tile; supervision would compare every pair of masks.
        columns = found.xyxy.astype(np.float32), found.confidence, found.class_id
        kept = found[batched_nms(*map(torch.from_numpy, columns), SAME_OBJECT_IOU).numpy()]
        masks = None if kept.mask is None else list(_run_lengths(kept.mask, size))
        return Detections(kept.xyxy.astype(np.float32), kept.confidence, kept.class_id, self.names, size, masks)


def _run_lengths(masks: Any, size: tuple[int, int]) -> Iterator[RunLengths]:
    """Encode supervision's compact masks, using one array of the image's size."""
    whole = np.zeros(size, np.uint8, order='F')
    for place, (x, y) in enumerate(masks.offsets):
        part = masks.crop(place)
        region = whole[y : y + part.shape[0], x : x + part.shape[1]]
        region[:] = part
        yield pycocotools.mask.encode(whole)
        region[:] = 0
