"""Keeps boxes in float32 when the rest of the model runs in half precision.

From 512 pixels on bfloat16 has steps of 4 pixels, and from 1024 on float16 has steps of 1. mmdet makes anchors, selects
boxes and samples regions for RoIAlign in the dtype of the maps. The repairs register under mmdet's own names, so that
every detector trains in half precision as well as in float32.
"""

import functools
import importlib.util
from collections.abc import Callable

import torch
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor as PlainSingleRoIExtractor
from mmdet.models.task_modules.prior_generators import AnchorGenerator, MlvlPointGenerator
from mmdet.registry import MODELS as MMDET_MODELS
from torch import Tensor

HALF_DTYPES = (torch.float16, torch.bfloat16)


@MMDET_MODELS.register_module(name='SingleRoIExtractor', force=True)
class SingleRoIExtractor(PlainSingleRoIExtractor):
    """mmdet's ``SingleRoIExtractor``, which pools half-precision maps in float32, and which asks the device once how
    many regions each level has, instead of once a level."""

    def forward(self, feats: tuple[Tensor, ...], rois: Tensor, roi_scale_factor: float | None = None) -> Tensor:
        """Regions ``(K, 5)`` of maps ``(B, C, H, W)`` to ``(K, C, size, size)`` in the dtype of the maps."""
        maps, rois = tuple(map(_float32, feats)), _float32(rois)
        if len(maps) == 1 or not len(rois) or torch.jit.is_tracing() or torch.compiler.is_compiling():
            return super().forward(maps, rois, roi_scale_factor).to(feats[0].dtype)
        level, order = self.map_roi_levels(rois, len(maps)).sort()
        counts = (level[:, None] == torch.arange(len(maps), device=level.device)).sum(0).tolist()
        if roi_scale_factor is not None:
            rois = self.roi_rescale(rois, roi_scale_factor)
        parts = []
        for layer, feature_map, own in zip(self.roi_layers, maps, rois[order].split(counts), strict=True):
            # A level without regions takes part too, so that all processes have gradients for the same weights.
            none = feature_map[:0, :, :1, :1].expand(-1, -1, *layer.output_size)
            parts.append(layer(feature_map, own) if len(own) else none)
        return torch.cat(parts)[order.argsort()].to(feats[0].dtype)


if importlib.util.find_spec('mmaction') is not None:
    from mmaction.models.roi_heads import SingleRoIExtractor3D as PlainSingleRoIExtractor3D
    from mmaction.registry import MODELS as MMACTION_MODELS

    @MMACTION_MODELS.register_module(name='SingleRoIExtractor3D', force=True)
    class SingleRoIExtractor3D(PlainSingleRoIExtractor3D):
        """mmaction2's ``SingleRoIExtractor3D``, which pools half-precision maps in float32."""

        def forward(self, feat: Tensor | tuple[Tensor, ...], rois: Tensor) -> tuple[Tensor, Tensor]:
            """Regions ``(K, 5)`` of maps ``(B, C, T, H, W)`` to pooled and whole features in the dtype of the maps."""
            feats = feat if isinstance(feat, tuple) else (feat,)
            pooled = super().forward(tuple(map(_float32, feats)), _float32(rois))
            return tuple(part.to(feats[0].dtype) for part in pooled)


def keep_boxes_in_float32() -> None:
    """Patch mmdet to make anchors and points, to select the boxes of dense heads, and to compute the scores of regions
    in float32 when the maps are in half precision. Calling it again changes nothing."""
    for generator in (AnchorGenerator, MlvlPointGenerator):
        if not hasattr(generator.grid_priors, '__wrapped__'):
            generator.grid_priors = _make_in_float32(generator.grid_priors)
    if not hasattr(BaseDenseHead.predict_by_feat, '__wrapped__'):
        BaseDenseHead.predict_by_feat = _select_in_float32(BaseDenseHead.predict_by_feat)
    if not hasattr(BBoxHead.predict_by_feat, '__wrapped__'):
        BBoxHead.predict_by_feat = _score_in_float32(BBoxHead.predict_by_feat)


def _select_in_float32(predict_by_feat: Callable) -> Callable:
    """In bfloat16 every score above 0.998 becomes 1, and the order among them would be left to chance."""

    @functools.wraps(predict_by_feat)
    def in_float32(
        self: object,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        score_factors: list[Tensor] | None = None,
        **named,
    ) -> list:
        maps = [maps and list(map(_float32, maps)) for maps in (cls_scores, bbox_preds, score_factors)]
        return predict_by_feat(self, *maps, **named)

    return in_float32


def _score_in_float32(predict_by_feat: Callable) -> Callable:
    """Autocast on a CPU would compute probabilities in bfloat16, so that many are equal."""

    @functools.wraps(predict_by_feat)
    def in_float32(
        self: object, rois: tuple[Tensor, ...], cls_scores: tuple[Tensor, ...], bbox_preds: tuple[Tensor, ...], **named
    ) -> list:
        scores, deltas = (tuple(x if x is None else _float32(x) for x in given) for given in (cls_scores, bbox_preds))
        return predict_by_feat(self, rois, scores, deltas, **named)

    return in_float32


def _make_in_float32(grid_priors: Callable) -> Callable:
    @functools.wraps(grid_priors)
    def in_float32(
        self: object, featmap_sizes: list[tuple[int, int]], dtype: torch.dtype = torch.float32, *others, **named
    ) -> list[Tensor]:
        return grid_priors(self, featmap_sizes, torch.float32 if dtype in HALF_DTYPES else dtype, *others, **named)

    return in_float32


def _float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in HALF_DTYPES else tensor
