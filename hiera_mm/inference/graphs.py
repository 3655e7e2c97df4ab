"""Trained models as modules from tensors to tensors of fixed counts, which can be exported whole."""

from collections.abc import Sequence
from typing import Any

from hiera_mm.models.recognizer import as_heads_take

import torch
import torch.nn as nn
from torch import Tensor
from torchvision.ops import batched_nms, roi_align

MOST_CANDIDATES = 4000
"""Boxes of all classes that go into the last suppression; a picture rarely has more over the least score."""


@torch.library.custom_op('hiera_mm::kept_by_nms', mutates_args=())
def kept_by_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Which boxes non-maximum suppression keeps, of each picture and each group by itself.

    Args:
        boxes: ``(B, N, 4)``, x1, y1, x2, y2.
        scores: ``(B, N)``; a box whose score isn't over 0 is none.
        groups: ``(B, N)`` whole numbers.
        iou: Overlap from which the weaker of two boxes goes.

    Returns:
        ``(B, N)``, of bool.
    """
    kept = torch.zeros(scores.shape, dtype=torch.bool, device=scores.device)
    for picture in range(len(boxes)):
        (real,) = torch.nonzero(scores[picture] > 0, as_tuple=True)
        chosen = batched_nms(boxes[picture, real], scores[picture, real], groups[picture, real], iou)
        kept[picture, real[chosen]] = True
    return kept


@kept_by_nms.register_fake
def _(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)


class Normalised(nn.Module):
    """A model whose input is pixels of 0 to 255, RGB; they are normalised as its data preprocessor does it.

    Args:
        preprocessor: Of mmdet or mmaction2.
        axes: Of the pixels: 4 for pictures ``(B, 3, H, W)``, 5 for clips ``(B, 3, T, H, W)``.
    """

    def __init__(self, preprocessor: Any, axes: int) -> None:
        super().__init__()
        shape = (3,) + (1,) * (axes - 2)
        # Of models that see blue first.
        self.flipped = axes == 4 and getattr(preprocessor, '_channel_conversion', True) is False
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer('mean', preprocessor.mean.detach().clone().reshape(shape), persistent=False)
        self.register_buffer('deviation', preprocessor.std.detach().clone().reshape(shape), persistent=False)

    def normalised(self, pixels: Tensor) -> Tensor:
        pixels = pixels.flip(1) if self.flipped else pixels
        return (pixels.float() - self.mean) / self.deviation


class ClassifierGraph(Normalised):
    """Pictures ``(B, 3, H, W)`` or clips ``(B, 3, T, H, W)`` to probabilities ``(B, classes)``."""

    def __init__(self, model: Any, axes: int) -> None:
        super().__init__(model.data_preprocessor, axes)
        self.backbone: Any = model.backbone
        self.head: Any = model.cls_head

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(as_heads_take(self.backbone(self.normalised(pixels)))).softmax(-1)


class SegmenterGraph(Normalised):
    """Pixels ``(B, 3, H, W)`` and ``sizes`` ``(B, 2)``, the height and width of each picture in them, its upper left
    corner in theirs, to logits ``(B, classes, H, W)``.

    Args:
        model: Of mmsegmentation, tested whole or in windows.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model.data_preprocessor, axes=4)
        self.model: Any = model

    def forward(self, pixels: Tensor, sizes: Tensor) -> Tensor:
        inside = within(self.normalised(pixels), sizes)
        height, width = int(pixels.shape[2]), int(pixels.shape[3])
        # Of the first picture alone, as the number of pictures is not fixed.
        return self.model.inference(inside, [dict.fromkeys(('ori_shape', 'img_shape', 'pad_shape'), (height, width))])


class DetectorGraph(Normalised):
    """A two-stage detector, with or without masks, also a cascade.

    Pixels ``(B, 3, H, W)`` and ``sizes`` ``(B, 2)``, the height and width of each picture in them, its upper left
    corner in theirs, to boxes ``(B, K, 4)`` in these pixels, scores ``(B, K)``, labels ``(B, K)`` and masks
    ``(B, K, side, side)``, probabilities inside the boxes. Places without an object have score 0 and label -1. ``K`` is
    the ``max_per_img`` of the config.

    Args:
        model: Of mmdet.

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
        maps = self.model.extract_feat(within(self.normalised(pixels), sizes))
        proposals, real = self._proposals(maps, sizes)
        most = int(real.shape[1])
        count = _most_of(real.sum(1), most)
        scores, boxes = (_filled(part, most) for part in self._refined(maps, proposals.narrow(1, 0, count), sizes))
        boxes, scores, labels = self._chosen(boxes, scores * real[..., None])
        if not self.model.roi_head.with_mask:
            return boxes, scores, labels
        count = _most_of((scores > 0).sum(1), int(scores.shape[1]))
        masks = self._masks(maps, boxes.narrow(1, 0, count), labels.narrow(1, 0, count))
        return boxes, scores, labels, _filled(masks, int(scores.shape[1]))

    def _proposals(self, maps: Sequence[Tensor], sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes ``(B, P, 4)``, and which of them are real ``(B, P)``."""
        head, settings = self.model.rpn_head, self.model.test_cfg.rpn
        scores, deltas = head(maps)
        shapes = [(int(level.shape[2]), int(level.shape[3])) for level in scores]
        anchors = head.prior_generator.grid_priors(shapes, device=scores[0].device)
        found = [
            self._best_of_level(*level, settings.nms_pre)
            for level in zip(scores, deltas, anchors, range(len(maps)), strict=True)
        ]
        score, delta, anchor, level = (torch.cat(parts, 1) for parts in zip(*found, strict=True))
        boxes = _decoded(head.bbox_coder, anchor, delta, sizes)
        if settings.get('min_bbox_size', -1) >= 0:
            large = ((boxes[..., 2:] - boxes[..., :2]) > settings.min_bbox_size).all(-1)
            score = score * large
        score, place = _best(score * kept_by_nms(boxes, score, level, settings.nms.iou_threshold), settings.max_per_img)
        return _picked(boxes, place), score > 0

    def _best_of_level(self, scores: Tensor, deltas: Tensor, anchors: Tensor, level: int, most: int) -> tuple:
        batch = scores.shape[0]
        scores = scores.permute(0, 2, 3, 1).reshape(batch, -1).sigmoid()
        deltas = deltas.permute(0, 2, 3, 1).reshape(batch, -1, 4)
        scores, place = _best(scores, most)
        anchors = anchors.expand(batch, -1, -1)
        return scores, _picked(deltas, place), _picked(anchors, place), torch.full_like(place, level)

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
                    delta = _picked_class(delta, logit[..., :-1].argmax(-1))
                boxes = _decoded(head.bbox_coder, boxes, delta.flatten(2), sizes)
        classes = delta.shape[2]
        repeated = boxes[:, :, None].expand(-1, -1, classes, -1)
        refined = _decoded(self.box_heads[-1].bbox_coder, repeated.flatten(1, 2), delta.flatten(1, 2), sizes)
        return (sum(logits) / len(logits)).softmax(-1)[..., :-1], refined.reshape(batch, count, classes, 4)

    def _chosen(self, boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        settings = self.model.test_cfg.rcnn
        classes = scores.shape[-1]
        boxes = boxes.expand(-1, -1, classes, -1).flatten(1, 2)
        scores = scores.flatten(1) * (scores.flatten(1) > settings.score_thr)
        scores, place = _best(scores, MOST_CANDIDATES)
        boxes, labels = _picked(boxes, place), place % classes
        kept = kept_by_nms(boxes, scores, labels, settings.nms.iou_threshold)
        scores, place = _best(scores * kept, settings.max_per_img)
        labels = torch.where(scores > 0, labels.gather(1, place), -1)
        return _picked(boxes, place), scores, labels

    def _masks(self, maps: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        roi_head = self.model.roi_head
        heads = list(roi_head.mask_head) if isinstance(roi_head.mask_head, nn.ModuleList) else [roi_head.mask_head]
        extractors = roi_head.mask_roi_extractor
        masks = []
        for number, head in enumerate(heads):
            extractor = extractors[number] if isinstance(extractors, nn.ModuleList) else extractors
            predicted = head(_features(extractor, maps, boxes)).sigmoid()
            predicted = predicted.reshape(*labels.shape, *predicted.shape[1:])
            masks.append(_picked_class(predicted, labels.clamp(min=0) * (predicted.shape[2] > 1))[:, :, 0])
        return sum(masks[1:], masks[0]) / len(masks)


class ActionDetectorGraph(Normalised):
    """Clips ``(B, 3, T, H, W)`` and persons ``(N, 5)``, the number of the clip and x1, y1, x2, y2 in its pixels, to
    scores ``(N, actions)``.

    Args:
        model: Of AVA's kind, with one map that is averaged over time.

    Raises:
        NotImplementedError: for others.
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
        features = _aligned(self.layer, stage.mean(2), persons)
        # The head's own pooling over one moment, by operators that ONNX has.
        largest = isinstance(self.head.spatial_pool, nn.AdaptiveMaxPool3d)
        pooled = features.amax((2, 3)) if largest else features.mean((2, 3))
        return self.head.fc_cls(pooled).sigmoid()


def within(pixels: Tensor, sizes: Tensor) -> Tensor:
    """Zeros where no picture is, as data preprocessors pad."""
    rows = torch.arange(pixels.shape[2], device=pixels.device) < sizes[:, :1]
    columns = torch.arange(pixels.shape[3], device=pixels.device) < sizes[:, 1:]
    return pixels * (rows[:, None, :, None] & columns[:, None, None, :])


def _most_of(counts: Tensor, most: int) -> int:
    """The largest of counts ``(B,)``, at least 1, as a size in the graph."""
    count: Any = counts.max().clamp(min=1).item()
    torch._check(count >= 1)
    torch._check(count <= most)
    return count


def _filled(rows: Tensor, count: int) -> Tensor:
    """``(B, count, ...)`` of ``(B, N, ...)``, zeros behind what is there."""
    return torch.cat([rows, rows.new_zeros(rows.shape[0], count - rows.shape[1], *rows.shape[2:])], 1)


def _best(scores: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The highest scores ``(B, K)`` of ``(B, N)`` and their places."""
    return scores.topk(min(most, int(scores.shape[1])), dim=1)


def _picked(rows: Tensor, place: Tensor) -> Tensor:
    """Rows ``(B, N, 4)`` at places ``(B, K)``."""
    return rows.gather(1, place[..., None].expand(-1, -1, rows.shape[-1]))


def _picked_class(values: Tensor, labels: Tensor) -> Tensor:
    """``(B, N, 1, ...)`` of ``(B, N, classes, ...)``."""
    shape = (*labels.shape, 1, *values.shape[3:])
    return values.gather(2, labels.reshape(*labels.shape, *(1,) * (values.ndim - 2)).expand(shape))


def _decoded(coder: Any, boxes: Tensor, deltas: Tensor, sizes: Tensor) -> Tensor:
    """Boxes ``(B, N, 4)`` moved by deltas and cut at the edges of each picture."""
    moved = coder.decode(boxes.reshape(-1, 4), deltas.reshape(-1, 4)).reshape(boxes.shape)
    return torch.minimum(moved.clamp(min=0), sizes[:, None, [1, 0, 1, 0]])


def _features(extractor: Any, maps: Sequence[Tensor], boxes: Tensor) -> Tensor:
    """Of each box ``(B, N, 4)`` from the map of its size, ``(B * N, C, side, side)``."""
    batch, count = boxes.shape[:2]
    number = torch.arange(batch, device=boxes.device).to(boxes)[:, None, None].expand(-1, count, 1)
    regions = torch.cat([number, boxes], -1).flatten(0, 1)
    levels = min(extractor.num_inputs, len(maps))
    level = extractor.map_roi_levels(regions, levels)
    # One after the other, how many there are of each depends on the data; then back in order.
    parts, places = [], []
    for layer, level_map, wanted in zip(extractor.roi_layers, maps, range(levels), strict=False):
        (place,) = torch.nonzero(level == wanted, as_tuple=True)
        places.append(place)
        parts.append(_aligned(layer, level_map, regions[place]))
    back = torch.empty_like(level).scatter(0, torch.cat(places), torch.arange(level.shape[0], device=level.device))
    return torch.cat(parts)[back]


def _aligned(layer: Any, level_map: Tensor, regions: Tensor) -> Tensor:
    return roi_align(
        level_map, regions, layer.output_size, layer.spatial_scale, layer.sampling_ratio, aligned=layer.aligned
    )
