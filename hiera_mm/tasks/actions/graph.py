"""Action detectors as exportable graphs, and exported files as action detectors."""

from collections.abc import Iterator, Sequence
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.inference.formats.graph import Graph, Normalised, aligned
from hiera_mm.inference.formats.network import ExportedNetwork
from hiera_mm.tasks.actions.action_detector import ActionDetector

import numpy as np
import torch
import torch.nn as nn
from mmengine.structures import InstanceData
from torch import Tensor


def graph_of_action_detector(detector: ActionDetector, size: tuple[int, int] | None) -> Graph:
    """The exportable graph of an action detector.

    Args:
        detector: The model.
        size: Height and width of the frames; by default those of the test pipeline's crop.

    Raises:
        UserError: for a head that can't be exported, or a pipeline that does not crop.
    """
    trained, note = detector.trained, ''
    if size is None:
        crops = [step.crop_size for step in trained.test_set.pipeline if step.type == 'CenterCrop']
        if not crops:
            raise UserError(
                f"The test pipeline of '{trained.source}' does not crop; set the size: --size HEIGHT WIDTH."
            )
        size = (crops[-1],) * 2 if isinstance(crops[-1], int) else tuple(crops[-1])
        note = (
            f'The file takes crops as in testing, {size[0]} x {size[1]} pixels; for whole frames of your videos set '
            'their size after resizing with --size.'
        )
    frames = trained.model.backbone.num_frames
    try:
        module = ActionDetectorGraph(trained.model)
    except NotImplementedError as error:
        raise UserError(f"Action detectors with such a {error} can't be exported yet.") from error
    persons = torch.tensor([[0.0, 0, 0, 32, 32], [0, 0, 0, 64, 64], [1, 0, 0, 32, 32]])
    inputs = dict(pixels=torch.zeros(2, 3, frames, *size, dtype=torch.uint8), persons=persons)
    return Graph(module, inputs, ['scores'], note)


class ActionDetectorGraph(Normalised):
    """Clips ``(B, 3, T, H, W)`` and persons ``(N, 5)``, the index of the clip and x1, y1, x2, y2 in its pixels, to
    scores ``(N, actions)``.

    Args:
        model: An action detector with one map, averaged over time.

    Raises:
        NotImplementedError: for other models.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model.data_preprocessor, axes=5)
        extractor = model.roi_head.bbox_roi_extractor
        plain = extractor.with_temporal_pool and extractor.temporal_pool_mode == 'avg' and not extractor.with_global
        if not plain or model.roi_head.with_shared_head:
            raise NotImplementedError(type(model.roi_head).__name__)
        self.backbone: Any = model.backbone
        self.head: Any = model.roi_head.bbox_head
        self.layer: Any = extractor.roi_layer

    def forward(self, pixels: Tensor, persons: Tensor) -> Tensor:
        (stage,) = self.backbone(self.normalised(pixels))
        features = aligned(self.layer, stage.mean(2), persons)
        # The head's pooling, by operators that ONNX supports.
        largest = isinstance(self.head.spatial_pool, nn.AdaptiveMaxPool3d)
        pooled = features.amax((2, 3)) if largest else features.mean((2, 3))
        return self.head.fc_cls(pooled).sigmoid()


class ExportedActionDetector(ExportedNetwork):
    """An exported action detector with the original's interface in testing."""

    def arrays(self, inputs: Sequence[Tensor], data_samples: Sequence[Any]) -> Iterator[dict[str, np.ndarray]]:
        """Each clip with its persons, if any."""
        for sample, clip in zip(data_samples, inputs, strict=True):
            if tuple(clip.shape[1:]) != self.size:
                raise UserError(
                    f'A clip has {_sides(clip.shape[1:])} after the test pipeline, but the exported file takes '
                    f'{_sides(self.size)}; export it again with --size.'
                )
            boxes = sample.proposals.bboxes.cpu().numpy().astype(np.float32)
            persons = np.concatenate([np.zeros_like(boxes[:, :1]), boxes], 1)
            yield dict(pixels=clip[None].cpu().numpy(), persons=persons)

    def forward(self, inputs: Sequence[Tensor], data_samples: Sequence[Any], mode: str = 'predict') -> list:
        """Add ``pred_instances`` to the samples of clips ``(3, T, H, W)`` of 0 to 255."""
        for sample, batch in zip(data_samples, self.arrays(inputs, data_samples), strict=True):
            scores = self.session(**batch)[0] if len(batch['persons']) else np.empty((0, 0), np.float32)
            shown = torch.as_tensor(sample.boxes_in_frame)
            sample.pred_instances = InstanceData(bboxes=shown, scores=torch.from_numpy(scores))
        return list(data_samples)


def _sides(shape: Sequence[int]) -> str:
    return ' x '.join(map(str, shape))
