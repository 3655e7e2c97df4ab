"""Pooling of regions of a map: mmcv's operators on torchvision's kernels."""

from collections.abc import Iterator

from hiera_mm.ops.gradients import fill_gradients
from hiera_mm.ops.precision import kernel_dtype

import torch
import torch.nn.functional as functional
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

AVERAGE = 1
"""mmcv's number for ``pool_mode='avg'`` (0 is ``'max'``)."""


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
    dtype = kernel_dtype(input)
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
    dtype = kernel_dtype(grad_output)
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


def _refuse_maximum(pool_mode: int) -> None:
    if pool_mode != AVERAGE:
        raise NotImplementedError(
            "RoIAlign with pool_mode='max' needs compiled mmcv operators, as torchvision only averages; "
            "use pool_mode='avg' (the default), or install an mmcv with compiled operators."
        )


def deform_roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    output: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Deformable RoI pooling (Dai et al., ICCV 2017, arXiv 1703.06211): fill ``output``
    ``(K, C, pooled_height, pooled_width)``.

    Args:
        input: Feature map ``(B, C, H, W)``.
        rois: ``(K, 5)`` as for :func:`roi_align_forward`.
        offset: ``(K, 2, pooled_height, pooled_width)``, how far each bin moves to the right and down, in ``gamma``
            times the region's width and height; empty for none.
        output: Written in place.
        pooled_height, pooled_width, spatial_scale, sampling_ratio: As for :func:`roi_align_forward`.
        gamma: Factor of the offsets.
    """
    settings = (pooled_height, pooled_width, spatial_scale, sampling_ratio, gamma)
    output.copy_(_deform_roi_pool(input, offset, rois, *settings))


def deform_roi_pool_backward(
    grad_output: Tensor,
    input: Tensor,
    rois: Tensor,
    offset: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    gamma: float,
) -> None:
    """Gradients of :func:`deform_roi_pool_forward`, into ``grad_input`` and ``grad_offset``."""
    settings = (pooled_height, pooled_width, spatial_scale, sampling_ratio, gamma)
    fill_gradients(
        lambda pixels, moved: _deform_roi_pool(pixels, moved, rois, *settings),
        [input, offset],
        grad_output,
        [grad_input, grad_offset],
    )


def _deform_roi_pool(
    pixels: Tensor,
    offset: Tensor,
    rois: Tensor,
    height: int,
    width: int,
    scale: float,
    sampling_ratio: int,
    gamma: float,
) -> Tensor:
    dtype = kernel_dtype(pixels)
    corners = rois[:, 1:].to(dtype) * scale - 0.5
    sizes = (corners[:, 2:] - corners[:, :2]).flip(1)  # of the regions, height first
    starts = corners[:, :2].flip(1)[:, :, None, None]
    bins = sizes / sizes.new_tensor([height, width])
    places = torch.stack(
        torch.meshgrid(torch.arange(height, device=rois.device), torch.arange(width, device=rois.device), indexing='ij')
    )
    starts = starts + places * bins[:, :, None, None]
    if offset.numel():
        starts = starts + gamma * sizes[:, :, None, None] * offset.to(dtype).flip(1)
    pooled = pixels.new_zeros(len(rois), pixels.shape[1], height, width, dtype=dtype)
    for image, grid, chosen in _alike(rois[:, 0], bins, sampling_ratio):
        rows, columns = ((torch.arange(count, device=rois.device, dtype=dtype) + 0.5) / max(count, 1) for count in grid)
        steps = torch.stack(torch.meshgrid(rows, columns, indexing='ij')).flatten(1)  # (2, points)
        points = starts[chosen][..., None] + bins[chosen][:, :, None, None, None] * steps[None, :, None, None]
        found = _sampled(pixels[image].to(dtype), points.movedim(1, -1))  # (C, regions, height, width, points)
        pooled[chosen] = (found.sum(-1) / max(grid[0] * grid[1], 1)).movedim(0, 1)
    return pooled.to(pixels.dtype)


def _alike(images: Tensor, bins: Tensor, sampling_ratio: int) -> Iterator[tuple[int, tuple[int, int], Tensor]]:
    """Regions of one image with as many points in a bin: the image, the points down and across, and which they are."""
    grids = bins.ceil().clamp(min=0).long() if sampling_ratio <= 0 else torch.full_like(bins, sampling_ratio).long()
    kinds, which = torch.cat([images[:, None].long(), grids], 1).unique(dim=0, return_inverse=True)
    for number, (image, down, across) in enumerate(kinds.tolist()):
        yield image, (down, across), (which == number).nonzero()[:, 0]


def _sampled(pixels: Tensor, points: Tensor) -> Tensor:
    """Bilinear values ``(C, ...)`` of a map ``(C, H, W)`` at points ``(..., 2)``, row and column: as at the edge up to
    one pixel outside, 0 beyond."""
    sides = points.new_tensor(pixels.shape[1:])
    inside = ((points >= -1) & (points <= sides)).all(-1)
    scaled = 2 * points / (sides - 1).clamp(min=1) - 1
    grid = scaled.flip(-1).reshape(1, 1, -1, 2)
    found = functional.grid_sample(pixels[None], grid, padding_mode='border', align_corners=True)
    return found.reshape(pixels.shape[0], *points.shape[:-1]) * inside
