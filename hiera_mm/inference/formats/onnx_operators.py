"""Our operators in terms of ONNX's, in the subset of Python that onnxscript translates."""
# mypy: ignore-errors

from collections.abc import Callable

import hiera_mm.inference.formats.operators  # noqa: F401  (it defines the operators)

import torch
from onnxscript import opset18 as op

MAX_BOXES = 2**31 - 1


def kept_by_nms(boxes, scores, groups, iou: float):
    """:func:`hiera_mm.inference.formats.operators.kept_by_nms`: boxes of each group are shifted by a multiple of the
    largest coordinate."""
    step = op.Add(op.ReduceMax(boxes, keepdims=0), 1.0)
    apart = op.Add(boxes, op.Unsqueeze(op.Mul(op.CastLike(groups, boxes), step), [-1]))
    # ONNX expects another order of coordinates, which does not affect overlaps.
    chosen = op.NonMaxSuppression(apart, op.Unsqueeze(scores, [1]), [MAX_BOXES], op.Constant(value_floats=[iou]), [0.0])
    places = op.Gather(chosen, [0, 2], axis=1)
    ones = op.Expand(op.Constant(value_float=1.0), op.Slice(op.Shape(places), [0], [1]))
    return op.Greater(op.ScatterND(op.Mul(scores, 0.0), places, ones), 0.0)


OPERATORS: dict[Callable, Callable] = {torch.ops.hiera_mm.kept_by_nms.default: kept_by_nms}
