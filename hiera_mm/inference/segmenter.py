"""The class of every pixel of pictures."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hiera_mm.inference.pictures import Picture, as_bgr, as_rgb, one_or_several
from hiera_mm.inference.results import Segmentation
from hiera_mm.inference.trained import TrainedModel, in_scope

import numpy as np
import torch
from mmcv.transforms import Compose
from mmengine.dataset import pseudo_collate


class Segmenter:
    """A segmentor of mmsegmentation that takes files and arrays.

    Args:
        trained: The model.
        classes: Names of its classes; by default those of its training.

    Raises:
        UserError: for another number of names than classes.
    """

    def __init__(self, trained: TrainedModel, classes: Sequence[str] | None = None) -> None:
        self.trained, self.names = trained, trained.classes(classes)
        steps = trained.test_pipeline
        loader = dict(steps[0], type='LoadImageFromNDArray')
        loader.pop('bit_depth', None)
        with in_scope(trained.config):
            self.from_file, self.from_array = Compose(steps), Compose([loader, *steps[1:]])

    def predict(self, pictures: Picture | Sequence[Picture]) -> Segmentation | list[Segmentation]:
        """The classes of one picture's pixels, or a list of them for a list of pictures.

        Args:
            pictures: Paths, RGB arrays ``(H, W, 3)`` of unsigned bytes, or Pillow's images.

        Raises:
            BrokenFileError: for a file that is missing or no picture.
            UserError: for an array of another form.
        """
        return one_or_several(self._of, pictures)

    def stream(
        self, frames: Iterator[np.ndarray], batch_size: int = 1, interval: int = 1
    ) -> Iterator[tuple[np.ndarray, Segmentation | None]]:
        """Each frame with its classes, no more than a batch of them in memory.

        Args:
            frames: RGB, of one size.
            batch_size: Frames that are computed together.
            interval: Looks at every first of so many frames; the others come with None.
        """
        while batch := list(islice(frames, batch_size * interval)):
            found: Any = self.predict(batch[::interval])
            for number, frame in enumerate(batch):
                yield frame, found[number // interval] if number % interval == 0 else None

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

    def prepared(self, picture: Picture) -> dict:
        """What the test pipeline makes of a picture."""
        if isinstance(picture, str | Path):
            return self.from_file(_file(picture))
        return self.from_array(dict(img=as_bgr(picture)))

    def decoded(self, picture: Picture) -> np.ndarray:
        """The picture that the classes refer to, RGB ``(H, W, 3)``."""
        if isinstance(picture, str | Path):
            return self.from_file.transforms[0](_file(picture))['img'][..., ::-1]
        return as_rgb(picture)


def _file(picture: str | Path | Mapping) -> dict:
    """What the pipeline begins with."""
    return dict(img_path=str(picture))


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
