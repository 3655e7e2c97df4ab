"""The base of predictors for images: files, arrays and the frames of videos."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hiera_mm.config import in_scope
from hiera_mm.inference.images import ImageInput, as_channels, as_rgb, content_of
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.readers.channels import visible
from hiera_mm.readers.inputs import Kind

import numpy as np
from mmcv.transforms import Compose


class FramePredictor:
    """A model of mmdet or mmsegmentation.

    Args:
        trained: The model.
        classes: Names of its classes; by default those of training.

    Raises:
        UserError: if the number of names differs from that of classes.
    """

    kinds: tuple[Kind, ...] = (Kind.IMAGE, Kind.VIDEO, Kind.STREAM)
    predict: Any
    """Defined by subclasses: the prediction for one image, or a list for a list of images."""

    def __init__(self, trained: TrainedModel, classes: Sequence[str] | None = None) -> None:
        self.trained, self.names = trained, trained.classes(classes)
        steps, scope = trained.test_pipeline, trained.config.get('default_scope', 'mmdet')
        of_files = ('channels', 'channel_files')
        loader = {key: value for key, value in steps[0].items() if key not in of_files}
        loader['type'] = f'{scope}.LoadImageFromNDArray'
        self.bit_depth = loader.pop('bit_depth', None)
        self.reader = trained.channels
        if self.reader is not None:
            # Frames of videos are red, green and blue.
            self.kinds = (Kind.IMAGE,)
        with in_scope(trained.config):
            self.from_file, self.from_array = Compose(steps), Compose([loader, *steps[1:]])

    def stream(
        self, frames: Iterator[np.ndarray], batch_size: int = 1, interval: int = 1, **settings: Any
    ) -> Iterator[tuple[np.ndarray, Any]]:
        """Each frame with its prediction, holding no more than a batch in memory.

        Args:
            frames: RGB frames.
            batch_size: Frames that are computed together.
            interval: Predict only every ``interval``-th frame; the others come with None.
            **settings: As for ``predict``.
        """
        while batch := list(islice(frames, batch_size * interval)):
            found = self.predict(batch[::interval], **settings)
            for number, frame in enumerate(batch):
                yield frame, found[number // interval] if number % interval == 0 else None

    def prepared(self, image: ImageInput | Mapping, without: tuple[type, ...] = ()) -> dict:
        """The output of the test pipeline for an image, without steps of some types."""
        if isinstance(image, str | Path | Mapping):
            steps, sample = self.from_file.transforms, _sample(image)
        else:
            pixels = _flipped(self.decoded(image))
            steps, sample = self.from_array.transforms, dict(img=pixels, img_id=0)
        for step in steps:
            if not isinstance(step, without):
                sample = step(sample)
        return sample

    def decoded(self, image: ImageInput | Mapping) -> np.ndarray:
        """The image that predictions refer to, RGB ``(H, W, 3)``, or all channels of a model of others."""
        load = self.from_file.transforms[0]
        if isinstance(image, str | Path | Mapping):
            pixels = _flipped(load(_sample(image))['img'])
            # Some pipelines load floats, of whole numbers.
            return pixels if self.reader else pixels.astype(np.uint8, copy=False)
        content = content_of(image)
        if content is not None:
            return _flipped(load.decode(content, 'given'))
        if self.reader is not None:
            return as_channels(image, self.reader, turn=True)
        return as_rgb(image, turn=True, bit_depth=self.bit_depth)

    def shown(self, image: ImageInput | Mapping) -> np.ndarray:
        """The image on which predictions are drawn, RGB ``(H, W, 3)``."""
        return visible(self.decoded(image))


def _sample(image: str | Path | Mapping) -> dict:
    """The sample with which the pipeline begins."""
    return dict(image if isinstance(image, Mapping) else dict(img_path=str(image)), img_id=0)


def _flipped(pixels: np.ndarray) -> np.ndarray:
    """From blue, green and red to red, green and blue or the other way round; other channels have one order."""
    return np.ascontiguousarray(pixels[..., ::-1]) if pixels.shape[2] == 3 else pixels
