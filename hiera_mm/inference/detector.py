"""Objects in pictures."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.errors import UserError, require_extra
from hiera_mm.inference.pictures import Picture, as_bgr, as_rgb, one_or_several
from hiera_mm.inference.results import Detections, RunLengths, detections_from
from hiera_mm.inference.trained import TrainedModel, in_scope

import numpy as np
import pycocotools.mask
import torch
from mmcv.transforms import Compose
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


class Detector:
    """A mmdet detector that takes files and arrays.

    Args:
        trained: The model.
        classes: Names of its classes; by default those of its training.

    Raises:
        UserError: for another number of names than classes.
    """

    def __init__(self, trained: TrainedModel, classes: Sequence[str] | None = None) -> None:
        self.trained, self.names = trained, trained.classes(classes)
        steps = trained.test_pipeline
        loader = dict(steps[0], type='mmdet.LoadImageFromNDArray')
        loader.pop('bit_depth', None)
        with in_scope(trained.config):
            self.from_file, self.from_array = Compose(steps), Compose([loader, *steps[1:]])

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

    def stream(
        self, frames: Iterator[np.ndarray], batch_size: int = 1, interval: int = 1, tiles: Tiles | None = None
    ) -> Iterator[tuple[np.ndarray, Detections | None]]:
        """Each frame with its objects, no more than a batch of them in memory.

        Args:
            frames: RGB.
            batch_size: Frames that are computed together.
            interval: Looks at every first of so many frames; the others come with None.
            tiles: As for :meth:`predict`.
        """
        while batch := list(islice(frames, batch_size * interval)):
            found: Any = self.predict(batch[::interval], tiles)
            for number, frame in enumerate(batch):
                yield frame, found[number // interval] if number % interval == 0 else None

    @torch.no_grad()
    def _of(self, pictures: Sequence[Picture | Mapping]) -> list[Detections]:
        with in_scope(self.trained.config):
            samples = [self.prepared(picture) for picture in pictures]
            predicted = self.trained.model.test_step(pseudo_collate(samples))
        return [detections_from(sample.cpu(), self.names) for sample in predicted]

    def prepared(self, picture: Picture | Mapping) -> dict:
        """What the test pipeline makes of a picture."""
        if isinstance(picture, str | Path | Mapping):
            return self.from_file(_file(picture))
        return self.from_array(dict(img=as_bgr(picture), img_id=0))

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

    def decoded(self, picture: Picture | Mapping) -> np.ndarray:
        """The picture that the boxes refer to, RGB ``(H, W, 3)``."""
        if isinstance(picture, str | Path | Mapping):
            return self.from_file.transforms[0](_file(picture))['img'][..., ::-1]
        return as_rgb(picture)

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


def _file(picture: str | Path | Mapping) -> dict:
    """What the pipeline begins with."""
    return dict(picture if isinstance(picture, Mapping) else dict(img_path=str(picture)), img_id=0)
