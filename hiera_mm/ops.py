"""mmcv's box operators on torchvision's kernels, where mmcv was installed without compiled ones.

``pip install onedl-mmcv`` leaves ``mmcv._ext`` out, and everything that imports ``mmcv.ops`` then fails
(https://github.com/open-mmlab/mmcv/issues/204). :func:`install` puts a module in its place that serves the
operators Mask R-CNN, Cascade R-CNN and AVA heads call, on CPU and CUDA, and refuses the others by name.
"""

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import torch
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

AVERAGE = 1
"""mmcv's number for ``pool_mode='avg'`` (0 is ``'max'``)."""


def install() -> None:
    """Register the stand-in as ``mmcv._ext``, unless there is a compiled one; repair what mmdet left out."""
    if 'mmcv._ext' not in sys.modules and importlib.util.find_spec('mmcv._ext') is None:
        sys.modules['mmcv._ext'] = _StandIn('mmcv._ext')
        _replace_placeholders()


class _StandIn(ModuleType):
    def __init__(self, name: str) -> None:
        super().__init__(name, __doc__)
        self.__spec__ = ModuleSpec(name, loader=None)
        for operator in (nms, softnms, roi_align_forward, roi_align_backward):
            setattr(self, operator.__name__, operator)
        # mmcv.utils.collect_env() asks for these two.
        self.get_compiler_version = self.get_compiling_cuda_version = lambda: 'n/a'

    def __getattr__(self, name: str):
        if name.startswith('__'):
            raise AttributeError(name)

        def refuse(*args, **kwargs):
            raise NotImplementedError(
                f"mmcv's operator '{name}' is not among those that hiera_mm provides on torchvision; to get it, "
                f'compile mmcv: pip uninstall -y onedl-mmcv && pip install ninja psutil && '
                f'MMCV_WITH_OPS=1 pip install --no-build-isolation --no-binary onedl-mmcv onedl-mmcv'
            )

        return refuse


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Indices of the boxes that non-maximum suppression keeps, best first.

    Args:
        boxes: ``(N, 4)`` as x1, y1, x2, y2 in pixels.
        scores: ``(N,)``.
        iou_threshold: A box that overlaps a better one by more is dropped.
        offset: 1 where a box from 0 to 9 is 10 pixels wide, 0 where it is 9.
    """
    boxes = boxes.to(_kernel_dtype(boxes))
    # torchvision measures x2 - x1: adding the offset to the far corner gives the width mmcv uses.
    boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    # Equal scores: mmcv takes them in the order of torch's plain sort, torchvision in that of a stable one.
    order = scores.sort(0, descending=True).indices
    ranks = torch.arange(len(order), 0, -1, device=boxes.device, dtype=boxes.dtype)
    return order[torch.ops.torchvision.nms(boxes[order], ranks, iou_threshold)]


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al., ICCV 2017, arXiv 1704.04503): lowers scores of overlapping boxes.

    Args:
        boxes, scores: As for :func:`nms`.
        dets: ``(N, 5)``, filled in its first rows with the kept boxes and their lowered scores.
        iou_threshold: Overlap from which methods 0 and 1 act.
        sigma: Width of the Gaussian of method 2.
        min_score: Boxes whose score falls below are dropped.
        method: 0 drops (``'naive'``), 1 weights by ``1 - IoU`` (``'linear'``), 2 by ``exp(-IoU^2 / sigma)``.
        offset: As for :func:`nms`.

    Returns:
        Indices of the kept boxes in the order of ``dets``.
    """
    remaining = torch.cat([boxes, scores[:, None]], dim=1).to(_kernel_dtype(boxes))
    indices = torch.arange(len(boxes))
    kept = 0
    while kept < len(remaining):
        best = kept + int(remaining[kept:, 4].argmax())
        swap = torch.tensor([best, kept])
        remaining[[kept, best]], indices[[kept, best]] = remaining[swap], indices[swap]
        dets[kept] = remaining[kept].to(dets.dtype)

        overlap = _overlap(remaining[kept], remaining[kept + 1 :], offset)
        if method == 2:
            weight = torch.exp(-(overlap**2) / sigma)
        else:
            lowered = 1 - overlap if method == 1 else torch.zeros_like(overlap)
            weight = torch.where(overlap >= iou_threshold, lowered, torch.ones_like(overlap))
        remaining[kept + 1 :, 4] *= weight
        kept += 1
        order = _drop_by_swapping(remaining[kept:, 4] >= min_score)
        remaining = torch.cat([remaining[:kept], remaining[kept:][order]])
        indices = torch.cat([indices[:kept], indices[kept:][order]])
    return indices


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """RoIAlign (He et al., ICCV 2017): fill ``output`` ``(K, C, aligned_height, aligned_width)``.

    Args:
        input: Feature map ``(B, C, H, W)``.
        rois: ``(K, 5)`` as index in the batch, x1, y1, x2, y2 in pixels of the image.
        output: Written in place.
        argmax_y, argmax_x: Used by mmcv for ``pool_mode='max'`` only.
        aligned_height, aligned_width: Bins a region is divided into.
        spatial_scale: Size of the map over size of the image.
        sampling_ratio: Sampling points per bin and axis; 0 takes as many as fit.
        pool_mode: 1, the average of the points.
        aligned: Shift by half a pixel, as mmcv's default does.

    Raises:
        NotImplementedError: for ``pool_mode`` 0, the maximum, which torchvision lacks.
    """
    _refuse_maximum(pool_mode)
    dtype = _kernel_dtype(input)
    pooled = torch.ops.torchvision.roi_align(
        input.to(dtype), rois.to(dtype), spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
    )
    output.copy_(pooled)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of :func:`roi_align_forward`: fill ``grad_input`` ``(B, C, H, W)``."""
    _refuse_maximum(pool_mode)
    dtype = _kernel_dtype(grad_output)
    gradient = torch.ops.torchvision._roi_align_backward(
        grad_output.to(dtype),
        rois.to(dtype),
        spatial_scale,
        aligned_height,
        aligned_width,
        *grad_input.shape,
        sampling_ratio,
        aligned,
    )
    grad_input.copy_(gradient)


def _kernel_dtype(tensor: Tensor) -> torch.dtype:
    """fp16 and bf16 go through fp32: torchvision's kernels lack them in part, and boxes lose pixels."""
    return torch.float32 if tensor.dtype in (torch.float16, torch.bfloat16) else tensor.dtype


def _refuse_maximum(pool_mode: int) -> None:
    if pool_mode != AVERAGE:
        raise NotImplementedError(
            "RoIAlign with pool_mode='max' needs compiled mmcv operators, as torchvision only averages; "
            "use pool_mode='avg' (the default), or install an mmcv with compiled operators."
        )


def _overlap(box: Tensor, others: Tensor, offset: int) -> Tensor:
    """IoU of one box ``(5,)`` with others ``(N, 5)``."""
    corner_low = torch.maximum(box[:2], others[:, :2])
    corner_high = torch.minimum(box[2:4], others[:, 2:4])
    common = (corner_high - corner_low + offset).clamp(min=0).prod(dim=1)
    area = (box[2:4] - box[:2] + offset).prod()
    areas = (others[:, 2:4] - others[:, :2] + offset).prod(dim=1)
    return common / (area + areas - common)


def _drop_by_swapping(alive: Tensor) -> Tensor:
    """Order left when each dead entry, from the front on, is replaced by the last living one.

    mmcv compacts its list in this way, and ties between scores are broken by the order it leaves.
    """
    survivors = int(alive.sum())
    order = torch.arange(survivors)
    holes = (~alive[:survivors]).nonzero()[:, 0]
    order[holes] = survivors + alive[survivors:].nonzero()[:, 0].flip(0)
    return order


def _replace_placeholders() -> None:
    """Give modules of mmdet that were imported before this one the operators they went without.

    onedl-mmdetection guards its imports of ``mmcv.ops`` and defines functions and classes in their place
    that only raise; whoever imported ``mmdet.apis`` first keeps those.
    """
    early = [module for name, module in sys.modules.items() if name.split('.')[0] == 'mmdet']
    found = [(module, name) for module in early for name, value in vars(module).items() if _is_placeholder(value)]
    if found:
        import mmcv.ops

        for module, name in found:
            if hasattr(mmcv.ops, name):
                setattr(module, name, getattr(mmcv.ops, name))


def _is_placeholder(value: object) -> bool:
    function = value.__dict__.get('__init__') if isinstance(value, type) else value
    constants = getattr(getattr(function, '__code__', None), 'co_consts', ())
    return any(isinstance(text, str) and 'mmcv to be compiled with ops' in text for text in constants)
