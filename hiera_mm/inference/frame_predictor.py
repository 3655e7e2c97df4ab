"""What models of pictures have in common: files, arrays and the frames of videos."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hiera_mm.inference.images import Picture, as_bgr, as_rgb
from hiera_mm.inference.loading import in_scope
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.readers.inputs import Kind

import numpy as np
from mmcv.transforms import Compose


class FramePredictor:
    """A model of mmdet's or mmsegmentation's kind.

    Args:
        trained: The model.
        classes: Names of its classes; by default those of its training.

    Raises:
        UserError: for another number of names than classes.
    """

    kinds = (Kind.IMAGE, Kind.VIDEO, Kind.STREAM)
    predict: Any
    """Of subclasses: what there is in one picture, or a list of it for a list of pictures."""

    def __init__(self, trained: TrainedModel, classes: Sequence[str] | None = None) -> None:
        self.trained, self.names = trained, trained.classes(classes)
        steps, scope = trained.test_pipeline, trained.config.get('default_scope', 'mmdet')
        loader = dict(steps[0], type=f'{scope}.LoadImageFromNDArray')
        loader.pop('bit_depth', None)
        with in_scope(trained.config):
            self.from_file, self.from_array = Compose(steps), Compose([loader, *steps[1:]])

    def stream(
        self, frames: Iterator[np.ndarray], batch_size: int = 1, interval: int = 1, **settings: Any
    ) -> Iterator[tuple[np.ndarray, Any]]:
        """Each frame with what is in it, no more than a batch of them in memory.

        Args:
            frames: RGB.
            batch_size: Frames that are computed together.
            interval: Looks at every first of so many frames; the others come with None.
            **settings: As for ``predict``.
        """
        while batch := list(islice(frames, batch_size * interval)):
            found = self.predict(batch[::interval], **settings)
            for number, frame in enumerate(batch):
                yield frame, found[number // interval] if number % interval == 0 else None

    def prepared(self, picture: Picture | Mapping) -> dict:
        """What the test pipeline makes of a picture."""
        if isinstance(picture, str | Path | Mapping):
            return self.from_file(_file(picture))
        return self.from_array(dict(img=as_bgr(picture), img_id=0))

    def decoded(self, picture: Picture | Mapping) -> np.ndarray:
        """The picture that predictions refer to, RGB ``(H, W, 3)``."""
        if isinstance(picture, str | Path | Mapping):
            return self.from_file.transforms[0](_file(picture))['img'][..., ::-1]
        return as_rgb(picture)


def _file(picture: str | Path | Mapping) -> dict:
    """What the pipeline begins with."""
    return dict(picture if isinstance(picture, Mapping) else dict(img_path=str(picture)), img_id=0)
