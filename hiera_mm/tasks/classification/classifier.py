"""The predictor of classification."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hiera_mm.config import in_scope
from hiera_mm.datasets.images import as_clip
from hiera_mm.errors import UserError
from hiera_mm.inference.images import ImageInput, as_channels, as_rgb, content_of, one_or_several
from hiera_mm.inference.running import running
from hiera_mm.inference.trained import TrainedModel
from hiera_mm.readers.frame_folders import infer_frame_naming
from hiera_mm.readers.frames import Part, parts_of
from hiera_mm.readers.inputs import Kind

import numpy as np
from mmcv.transforms import Compose
from mmengine.dataset import pseudo_collate

FRAME_RATE = 30
"""Default frames per second of extracted frames, the rate of Kinetics and AVA."""


@dataclass(frozen=True)
class Classification:
    """Scores of an image or a clip.

    Attributes:
        scores: ``(classes,)``, with a sum of 1.
        names: Names of the classes, by number.
    """

    scores: np.ndarray
    names: Sequence[str]

    def top(self, count: int = 1) -> list[tuple[str, float]]:
        """The most probable classes with their scores."""
        return [(self.names[label], float(self.scores[label])) for label in np.argsort(-self.scores)[:count]]


class Classifier:
    """Predicts files with a recogniser of mmaction2.

    Args:
        trained: The model, for images or for clips.
        classes: Names of its classes; by default those of training.

    Raises:
        UserError: if the number of names differs from that of classes.
    """

    def __init__(self, trained: TrainedModel, classes: Sequence[str] | None = None) -> None:
        self.trained, self.names = trained, trained.classes(classes)
        steps = trained.test_pipeline
        self.takes_images = steps[0].type == 'ReadImage'
        self.kinds = (Kind.IMAGE,) if self.takes_images else (Kind.VIDEO, Kind.FRAMES)
        with in_scope(trained.config):
            self.pipeline = Compose(steps)
        self.reader = trained.channels

    def predict(
        self, inputs: ImageInput | Sequence[ImageInput], rate: float = FRAME_RATE
    ) -> Classification | list[Classification]:
        """Classify one input, or each of a list, which is computed as one batch.

        Args:
            inputs: A model of images takes paths, RGB arrays ``(H, W, 3)`` of unsigned bytes and Pillow's images; a
                model of clips takes paths of videos and of folders with numbered frames.
            rate: Frames per second at which the frames in folders were extracted.

        Raises:
            BrokenFileError: for a file that is missing or can't be decoded.
            UserError: for anything else.
        """
        return one_or_several(lambda given: self._classify(given, rate), inputs)

    def predict_windows(
        self, video: str | Path, length: float, stride: float, rate: float = FRAME_RATE
    ) -> Iterator[tuple[float, float, Classification]]:
        """Classify windows along a video: the start and end of each in seconds, and its classes.

        Args:
            video: A video or a folder of numbered frames.
            length: Seconds of a window; the last one may be shorter.
            stride: Seconds between the starts of two windows.
            rate: As for :meth:`predict`.

        Raises:
            BrokenFileError: as :meth:`predict`.
            UserError: as :meth:`check_windows`.
        """
        self.check_windows(length, stride)
        whole = self.pipeline.transforms[0](self._file(video, rate))
        for start, end in parts_of(whole['video_reader'], length, stride):
            sample = self._window(whole, start, end)
            yield start, end, self.classified([sample])[0]

    def check_windows(self, length: float, stride: float) -> None:
        """Refuse windows for a model of images, and a length or a stride that is not positive.

        Raises:
            UserError: saying so.
        """
        if self.takes_images or not (length > 0 and stride > 0):
            raise UserError('Windows are for models of clips, and their length and stride are above 0 seconds.')

    def _window(self, whole: dict, start: float, end: float) -> dict:
        reader = Part(whole['video_reader'], start, end)
        sample = dict(whole, video_reader=reader, total_frames=len(reader))
        for step in self.pipeline.transforms[1:]:
            sample = step(sample)
        return sample

    def _classify(self, given: Sequence[ImageInput], rate: float) -> list[Classification]:
        with in_scope(self.trained.config):
            samples = [self.prepared(entry, rate) for entry in given]
        return self.classified(samples)

    def classified(self, samples: Sequence[dict]) -> list[Classification]:
        """Classify a batch of prepared inputs."""
        with running(self.trained):
            predicted = self.trained.model.test_step(pseudo_collate(samples))
        return [Classification(sample.pred_score.float().cpu().numpy(), self.names) for sample in predicted]

    def prepared(self, given: ImageInput, rate: float = FRAME_RATE) -> dict:
        """The output of the test pipeline for an input."""
        if isinstance(given, str | Path):
            return self.pipeline(self._file(given, rate))
        if not self.takes_images:
            raise UserError('A model of clips takes paths of videos or of folders with frames.')
        sample = as_clip(self._pixels(given))
        for step in self.pipeline.transforms[1:]:
            sample = step(sample)
        return sample

    def _pixels(self, given: ImageInput) -> np.ndarray:
        load = self.pipeline.transforms[0]
        if (content := content_of(given)) is not None:
            return load.decode(content)
        if self.reader is not None:
            return as_channels(given, self.reader, turn=False)
        return as_rgb(given, turn=False, bit_depth=load.bit_depth)

    def _file(self, path: str | Path, rate: float) -> dict:
        if self.takes_images:
            return dict(img_path=str(path))
        clip = dict(modality='RGB', start_index=0)
        if Path(path).is_dir():
            template, start = infer_frame_naming(path)
            return dict(clip, frame_dir=str(path), filename_tmpl=template, start_index=start, fps=rate)
        return dict(clip, filename=str(path))
