"""Recognisers as exportable graphs, and exported files as recognisers."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.inference.formats.graph import Graph, Normalised
from hiera_mm.inference.formats.network import ExportedNetwork
from hiera_mm.models.recognizer import unwrap_only_map
from hiera_mm.readers.write_video import write_video
from hiera_mm.tasks.classification.classifier import Classifier

import numpy as np
import torch
from torch import Tensor

PROBE_SHAPE = (478, 638, 3)
"""Shape of an image with unusual sides, to find out whether a pipeline resizes its input."""


def graph_of_classifier(classifier: Classifier, size: tuple[int, int] | None) -> Graph:
    """The exportable graph of a classifier.

    Args:
        classifier: The model.
        size: Height and width of the pixels; by default those of the test pipeline.

    Raises:
        UserError: if the test pipeline leaves inputs at their size.
    """
    pixels = _probe_pipeline(classifier)
    if size is None and tuple(pixels.shape[-2:]) == PROBE_SHAPE[:2]:
        raise UserError(
            f"The test pipeline of '{classifier.trained.source}' leaves inputs at their size; set it: --size HEIGHT "
            'WIDTH.'
        )
    pixels = torch.zeros(*pixels.shape[:-2], *(size or pixels.shape[-2:]), dtype=torch.uint8)
    inputs = dict(pixels=pixels.expand(2, *pixels.shape[1:]).clone())
    return Graph(ClassifierGraph(classifier.trained.model, pixels.ndim), inputs, ['probabilities'])


class ClassifierGraph(Normalised):
    """Images ``(B, 3, H, W)`` or clips ``(B, 3, T, H, W)`` to probabilities ``(B, classes)``."""

    def __init__(self, model: Any, axes: int) -> None:
        super().__init__(model.data_preprocessor, axes)
        self.backbone: Any = model.backbone
        self.head: Any = model.cls_head

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(unwrap_only_map(self.backbone(self.normalised(pixels)))).softmax(-1)


class ExportedClassifier(ExportedNetwork):
    """An exported classifier with the interface of mmaction2's recognisers in testing: means over all views."""

    def arrays(self, inputs: Sequence[Tensor], data_samples: Sequence[Any]) -> Iterator[dict[str, np.ndarray]]:
        """The views of each input as a batch."""
        for views in inputs:
            yield dict(pixels=views.cpu().numpy())

    def forward(self, inputs: Sequence[Tensor], data_samples: Sequence[Any], mode: str = 'predict') -> list:
        """Add ``pred_score`` and ``pred_label`` to the samples of inputs with views ``(V, 3, ...)`` of 0 to 255."""
        for sample, batch in zip(data_samples, self.arrays(inputs, data_samples), strict=True):
            (scores,) = self.session(**batch)
            score = torch.from_numpy(scores).mean(0)
            sample.set_pred_score(score).set_pred_label(score.argmax(-1, keepdim=True))
        return list(data_samples)


def _probe_pipeline(classifier: Classifier) -> Tensor:
    """The first view of the test pipeline's output, ``(1, 3, ...)`` of unsigned bytes."""
    image = np.zeros(PROBE_SHAPE, np.uint8)
    if classifier.takes_images:
        return classifier.prepared(image)['inputs'][:1]
    with TemporaryDirectory() as folder:
        film = Path(folder, 'film.mp4')
        write_video(film, [image] * 90, 30)
        return classifier.prepared(film)['inputs'][:1]
