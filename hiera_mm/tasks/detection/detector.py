"""Objects in pictures."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hiera_mm.errors import UserError, require_extra
from hiera_mm.inference.frame_predictor import FramePredictor
from hiera_mm.inference.images import Picture, one_or_several
from hiera_mm.inference.loading import in_scope
from hiera_mm.tasks.detection.results import Detections, RunLengths, detections_from

import numpy as np
import pycocotools.mask
import torch
from mmengine.dataset import pseudo_collate
from torchvision.ops import batched_nms

SAME_FROM = 0.5
"""Overlap (intersection over union) from which two tiles' boxes of one class are one object, as in the detectors' own
non-maximum suppression."""


class Tiles(NamedTuple):
    """How a large picture is cut.

    Attributes:
        side: Of a tile, in pixels.
        overlap: Of neighbours, as a part of the side; objects that are larger may be found in two parts.
    """

    side: int
    overlap: float = 0.2


class Detector(FramePredictor):
    """A mmdet detector that takes files and arrays."""

    def predict(
        self, pictures: Picture | Mapping | Sequence[Picture | Mapping], tiles: Tiles | None = None
    ) -> Detections | list[Detections]:
        """Objects of one picture, or a list of them for a list of pictures, which are computed together.

        Args:
            pictures: Paths, RGB arrays ``(H, W, 3)`` of unsigned bytes, Pillow's images, or dicts of ``img_path`` with
                the ``width`` and ``height`` of the picture as it is meant, where its EXIF data may turn it.
            tiles: Cuts each picture, which then needs the memory of a tile and finds small objects; needs the package
                supervision.

        Raises:
            BrokenFileError: for a file that is missing or no picture.
            UserError: for an array of another form.
        """
        if tiles is None:
            return one_or_several(self._of, pictures)
        return one_or_several(lambda given: [self._in_tiles(picture, tiles) for picture in given], pictures)

    @torch.no_grad()
    def _of(self, pictures: Sequence[Picture | Mapping]) -> list[Detections]:
        with in_scope(self.trained.config):
            samples = [self.prepared(picture) for picture in pictures]
            predicted = self.trained.model.test_step(pseudo_collate(samples))
        return [detections_from(sample.cpu(), self.names) for sample in predicted]

    def _in_tiles(self, picture: Picture | Mapping, tiles: Tiles) -> Detections:
        require_extra('supervision', 'data')
        import supervision

        if not (tiles.side > 0 and 0 <= tiles.overlap < 1):
            raise UserError(f'A tile has a side over 0 and overlaps by 0 to 1 of it, unlike {tiles}.')
        whole = self.decoded(picture)
        slicer = supervision.InferenceSlicer(
            lambda tile: self._of([tile])[0].to_supervision(),
            slice_wh=tiles.side,
            overlap_wh=int(tiles.side * tiles.overlap),
            overlap_filter='none',
            compact_masks=True,
        )
        return self._merged(slicer(whole), whole.shape[:2])

    def _merged(self, found: Any, size: tuple[int, int]) -> Detections:
        """Of supervision's detections in all tiles of a picture."""
        if not len(found):
            none = np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, int)
            return Detections(*none, self.names, size, [] if self.trained.model.with_mask else None)
        # By boxes, as within a tile; supervision would compare each mask with each other one.
        columns = found.xyxy.astype(np.float32), found.confidence, found.class_id
        kept = found[batched_nms(*map(torch.from_numpy, columns), SAME_FROM).numpy()]
        masks = None if kept.mask is None else list(_run_lengths(kept.mask, size))
        return Detections(kept.xyxy.astype(np.float32), kept.confidence, kept.class_id, self.names, size, masks)


def _run_lengths(masks: Any, size: tuple[int, int]) -> Iterator[RunLengths]:
    """Of supervision's compact masks, through one array of the picture's size."""
    whole = np.zeros(size, np.uint8, order='F')
    for place, (x, y) in enumerate(masks.offsets):
        part = masks.crop(place)
        region = whole[y : y + part.shape[0], x : x + part.shape[1]]
        region[:] = part
        yield pycocotools.mask.encode(whole)
        region[:] = 0
