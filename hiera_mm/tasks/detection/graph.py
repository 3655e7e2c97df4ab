"""Two-stage detectors as exportable graphs, and exported files as detectors."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.errors import UserError
from hiera_mm.inference.formats import Exported
from hiera_mm.inference.formats.graph import (
    Graph,
    Normalised,
    aligned,
    image_inputs,
    padding_note,
    resized_to,
    zero_padding,
)
from hiera_mm.inference.formats.network import ExportedFrameNetwork
from hiera_mm.inference.formats.operators import kept_by_nms
from hiera_mm.tasks.detection.detector import Detector

import torch
import torch.nn as nn
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask
from mmengine.structures import InstanceData
from torch import Tensor

MAX_CANDIDATES = 4000
"""Most boxes of all classes in the final suppression; an image rarely has more above the score threshold."""

PASTED_PIXELS = 2**20
"""Mask pixels that are pasted into an image at once."""


def graph_of_detector(detector: Detector, size: tuple[int, int] | None) -> Graph:
    """The exportable graph of a detector.

    Args:
        detector: The model.
        size: Height and width of the pixels; by default the largest output of the test pipeline.

    Raises:
        UserError: for a detector without two stages, or a pipeline without a size.
    """
    model = detector.trained.model
    divisor, note = model.data_preprocessor.pad_size_divisor, ''
    if size is None:
        longest = max(resized_to(detector.trained.test_pipeline, detector.trained.source))
        size = (-(-longest // divisor) * divisor,) * 2
        if divisor < longest:
            note = padding_note(size, divisor, ', unless you train with pad_size_divisor as large')
    try:
        module = DetectorGraph(model)
    except NotImplementedError as error:
        raise UserError(
            f"A {error} can't be exported yet; two-stage detectors such as Faster, Mask and Cascade R-CNN can."
        ) from error
    outputs = ['boxes', 'scores', 'labels']
    if not model.roi_head.with_mask:
        return Graph(module, image_inputs(size), outputs, note)
    described = dict(mask_thr=model.test_cfg.rcnn.mask_thr_binary)
    return Graph(module, image_inputs(size), [*outputs, 'masks'], note, described)


class DetectorGraph(Normalised):
    """A two-stage detector, with or without masks, also a cascade.

    Pixels ``(B, 3, H, W)`` and ``sizes`` ``(B, 2)``, the height and width of each image, which lies in the upper
    left corner, to boxes ``(B, K, 4)`` in these pixels, scores ``(B, K)``, labels ``(B, K)`` and masks
    ``(B, K, side, side)``, probabilities inside the boxes. Entries without an object have score 0 and label -1. ``K``
    is the ``max_per_img`` of the config.

    Args:
        model: A detector of mmdet.

    Raises:
        NotImplementedError: for other detectors.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model.data_preprocessor, axes=4)
        heads = getattr(model.roi_head, 'bbox_head', None) if hasattr(model, 'roi_head') else None
        if heads is None or not hasattr(model, 'rpn_head'):
            raise NotImplementedError(type(model).__name__)
        self.model: Any = model
        self.several = isinstance(heads, nn.ModuleList)
        self.box_heads = list(heads) if self.several else [heads]

    def forward(self, pixels: Tensor, sizes: Tensor) -> tuple[Tensor, ...]:
        sizes = sizes.float()
        maps = self.model.extract_feat(zero_padding(self.normalised(pixels), sizes))
        proposals, real = self._proposals(maps, sizes)
        most = int(real.shape[1])
        count = _as_size(real.sum(1), most)
        scores, boxes = (_padded(part, most) for part in self._refined(maps, proposals.narrow(1, 0, count), sizes))
        boxes, scores, labels = self._final_boxes(boxes, scores * real[..., None])
        if not self.model.roi_head.with_mask:
            return boxes, scores, labels
        count = _as_size((scores > 0).sum(1), int(scores.shape[1]))
        masks = self._masks(maps, boxes.narrow(1, 0, count), labels.narrow(1, 0, count))
        return boxes, scores, labels, _padded(masks, int(scores.shape[1]))

    def _proposals(self, maps: Sequence[Tensor], sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes ``(B, P, 4)``, and which of them are real ``(B, P)``."""
        head, settings = self.model.rpn_head, self.model.test_cfg.rpn
        scores, deltas = head(maps)
        shapes = [(int(level.shape[2]), int(level.shape[3])) for level in scores]
        anchors = head.prior_generator.grid_priors(shapes, device=scores[0].device)
        found = [
            self._top_of_level(*level, settings.nms_pre)
            for level in zip(scores, deltas, anchors, range(len(maps)), strict=True)
        ]
        score, delta, anchor, level = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        boxes = _decoded(head.bbox_coder, anchor, delta, sizes)
        if settings.get('min_bbox_size', -1) >= 0:
            large = ((boxes[..., 2:] - boxes[..., :2]) > settings.min_bbox_size).all(-1)
            score = score * large
        score, place = _top(score * kept_by_nms(boxes, score, level, settings.nms.iou_threshold), settings.max_per_img)
        return _gathered(boxes, place), score > 0

    def _top_of_level(self, scores: Tensor, deltas: Tensor, anchors: Tensor, level: int, most: int) -> tuple:
        batch = scores.shape[0]
        scores = scores.permute(0, 2, 3, 1).reshape(batch, -1).sigmoid()
        deltas = deltas.permute(0, 2, 3, 1).reshape(batch, -1, 4)
        scores, place = _top(scores, most)
        anchors = anchors.expand(batch, -1, -1)
        return scores, _gathered(deltas, place), _gathered(anchors, place), torch.full_like(place, level)

    def _refined(self, maps: Sequence[Tensor], boxes: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Scores ``(B, P, classes)`` and boxes ``(B, P, classes or 1, 4)``."""
        batch, count = boxes.shape[:2]
        extractors = self.model.roi_head.bbox_roi_extractor
        logits = []
        for number, head in enumerate(self.box_heads):
            extractor = extractors[number] if self.several else extractors
            logit, delta = head(_features(extractor, maps, boxes))
            logit, delta = logit.reshape(batch, count, -1), delta.reshape(batch, count, -1, 4)
            logits.append(logit)
            if number < len(self.box_heads) - 1:
                if not head.reg_class_agnostic:
                    delta = _gathered_class(delta, logit[..., :-1].argmax(-1))
                boxes = _decoded(head.bbox_coder, boxes, delta.flatten(2), sizes)
        classes = delta.shape[2]
        repeated = boxes[:, :, None].expand(-1, -1, classes, -1)
        refined = _decoded(self.box_heads[-1].bbox_coder, repeated.flatten(1, 2), delta.flatten(1, 2), sizes)
        return (sum(logits) / len(logits)).softmax(-1)[..., :-1], refined.reshape(batch, count, classes, 4)

    def _final_boxes(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        settings = self.model.test_cfg.rcnn
        classes = scores.shape[-1]
        boxes = boxes.expand(-1, -1, classes, -1).flatten(1, 2)
        scores = scores.flatten(1) * (scores.flatten(1) > settings.score_thr)
        scores, place = _top(scores, MAX_CANDIDATES)
        boxes, labels = _gathered(boxes, place), place % classes
        kept = kept_by_nms(boxes, scores, labels, settings.nms.iou_threshold)
        scores, place = _top(scores * kept, settings.max_per_img)
        labels = torch.where(scores > 0, labels.gather(1, place), -1)
        return _gathered(boxes, place), scores, labels

    def _masks(self, maps: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        roi_head = self.model.roi_head
        heads = list(roi_head.mask_head) if isinstance(roi_head.mask_head, nn.ModuleList) else [roi_head.mask_head]
        extractors = roi_head.mask_roi_extractor
        masks = []
        for number, head in enumerate(heads):
            extractor = extractors[number] if isinstance(extractors, nn.ModuleList) else extractors
            predicted = head(_features(extractor, maps, boxes)).sigmoid()
            predicted = predicted.reshape(*labels.shape, *predicted.shape[1:])
            masks.append(_gathered_class(predicted, labels.clamp(min=0) * (predicted.shape[2] > 1))[:, :, 0])
        return sum(masks[1:], masks[0]) / len(masks)


class ExportedDetector(ExportedFrameNetwork):
    """An exported detector with the interface of mmdet's models in testing."""

    def __init__(self, exported: Exported) -> None:
        super().__init__(exported)
        self.mask_thr = exported.described.get('mask_thr')
        self.with_mask = self.mask_thr is not None

    def forward(self, inputs: Sequence[Tensor], data_samples: Sequence[Any], mode: str = 'predict') -> list:
        """Add ``pred_instances`` to the samples of BGR images ``(3, h, w)`` of 0 to 255."""
        (batch,) = self.arrays(inputs, data_samples)
        found = zip(*self.session(**batch), strict=True)
        for sample, outputs in zip(data_samples, found, strict=True):
            sample.pred_instances = self._instances(sample, *map(torch.from_numpy, outputs))
        return list(data_samples)

    def _instances(
        self, sample: Any, boxes: Tensor, scores: Tensor, labels: Tensor, masks: Tensor | None = None
    ) -> InstanceData:
        real = scores > 0
        scale = torch.tensor(sample.scale_factor).repeat(2)
        boxes = boxes[real] / scale
        found = InstanceData(bboxes=boxes, scores=scores[real], labels=labels[real])
        if masks is not None:
            found.masks = self._pasted(masks[real], boxes, sample.ori_shape[:2])
        return found

    def _pasted(self, masks: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
        """Masks of the whole image ``(N, H, W)``, pasted one at a time for large images, as mmdet does on a CPU."""
        whole = torch.zeros(len(masks), *size, dtype=torch.bool)
        together = max(1, PASTED_PIXELS // (size[0] * size[1]))
        for start in range(0, len(masks), together):
            chunk = slice(start, start + together)
            part, region = _do_paste_mask(masks[chunk, None], boxes[chunk], *size, skip_empty=True)
            whole[(chunk, *region)] = part >= self.mask_thr
        return whole


def _as_size(counts: Tensor, most: int) -> int:
    """The largest of counts ``(B,)``, at least 1, as a symbolic size."""
    count: Any = counts.max().clamp(min=1).item()
    torch._check(count >= 1)
    torch._check(count <= most)
    return count


def _padded(rows: Tensor, count: int) -> Tensor:
    """Pad ``(B, N, ...)`` with zeros to ``(B, count, ...)``."""
    return torch.cat([rows, rows.new_zeros(rows.shape[0], count - rows.shape[1], *rows.shape[2:])], 1)


def _top(scores: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The highest scores ``(B, K)`` of ``(B, N)`` and their indices."""
    return scores.topk(min(most, int(scores.shape[1])), dim=1)


def _gathered(rows: Tensor, place: Tensor) -> Tensor:
    """Rows of ``(B, N, 4)`` at indices ``(B, K)``."""
    return rows.gather(1, place[..., None].expand(-1, -1, rows.shape[-1]))


def _gathered_class(values: Tensor, labels: Tensor) -> Tensor:
    """Values of one class, ``(B, N, 1, ...)``, of ``(B, N, classes, ...)``."""
    shape = (*labels.shape, 1, *values.shape[3:])
    return values.gather(2, labels.reshape(*labels.shape, *(1,) * (values.ndim - 2)).expand(shape))


def _decoded(coder: Any, boxes: Tensor, deltas: Tensor, sizes: Tensor) -> Tensor:
    """Boxes ``(B, N, 4)`` moved by deltas and clipped to each image."""
    moved = coder.decode(boxes.reshape(-1, 4), deltas.reshape(-1, 4)).reshape(boxes.shape)
    return torch.minimum(moved.clamp(min=0), sizes[:, None, [1, 0, 1, 0]])


def _features(extractor: Any, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """Features ``(B * N, C, side, side)`` of each box ``(B, N, 4)`` from the map for its size."""
    batch, count = boxes.shape[:2]
    number = torch.arange(batch, device=boxes.device).to(boxes)[:, None, None].expand(-1, count, 1)
    regions = torch.cat([number, boxes], -1).flatten(0, 1)
    levels = min(extractor.num_inputs, len(maps))
    level = extractor.map_roi_levels(regions, levels)
    # Level by level, since their numbers depend on the data; then back in the original order.
    parts, places = [], []
    for layer, level_map, wanted in zip(extractor.roi_layers, maps, range(levels), strict=False):
        (place,) = torch.nonzero(level == wanted, as_tuple=True)
        places.append(place)
        parts.append(aligned(layer, level_map, regions[place]))
    back = torch.empty_like(level).scatter(0, torch.cat(places), torch.arange(level.shape[0], device=level.device))
    return torch.cat(parts)[back]
