"""Pooling of regions of a feature map: mmcv's operators on torchvision's kernels."""

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
        argmax_y, argmax_x: Only used by mmcv for ``pool_mode='max'``.
        aligned_height, aligned_width: Number of bins that a region is divided into.
        spatial_scale: Size of the map divided by the size of the image.
        sampling_ratio: Sampling points per bin and axis; 0 takes as many as fit.
        pool_mode: 1, for the average of the points.
        aligned: Whether to shift by half a pixel, mmcv's default.

    Raises:
        NotImplementedError: for ``pool_mode`` 0 (maximum), which torchvision lacks.
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
        offset: ``(K, 2, pooled_height, pooled_width)``, how far each bin moves to the right and down, in units of
            ``gamma`` times the region's width and height; empty for no offsets.
        output: Written in place.
        pooled_height, pooled_width, spatial_scale, sampling_ratio: As for :func:`roi_align_forward`.
        gamma: Scale of the offsets.
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
    for image, grid, chosen in _group_alike(rois[:, 0], bins, sampling_ratio):
        rows, columns = ((torch.arange(count, device=rois.device, dtype=dtype) + 0.5) / max(count, 1) for count in grid)
        steps = torch.stack(torch.meshgrid(rows, columns, indexing='ij')).flatten(1)  # (2, points)
        points = starts[chosen][..., None] + bins[chosen][:, :, None, None, None] * steps[None, :, None, None]
        found = _sample_bilinear(pixels[image].to(dtype), points.movedim(1, -1))  # (C, regions, height, width, points)
        pooled[chosen] = (found.sum(-1) / max(grid[0] * grid[1], 1)).movedim(0, 1)
    return pooled.to(pixels.dtype)


def _group_alike(images: Tensor, bins: Tensor, sampling_ratio: int) -> Iterator[tuple[int, tuple[int, int], Tensor]]:
    """Group the regions by image and number of points in a bin: yields the image, the points down and across, and the
    regions' indices."""
    grids = bins.ceil().clamp(min=0).long() if sampling_ratio <= 0 else torch.full_like(bins, sampling_ratio).long()
    groups, group_of_region = torch.cat([images[:, None].long(), grids], 1).unique(dim=0, return_inverse=True)
    for number, (image, down, across) in enumerate(groups.tolist()):
        yield image, (down, across), (group_of_region == number).nonzero()[:, 0]


def _sample_bilinear(pixels: Tensor, points: Tensor) -> Tensor:
    """Bilinear values ``(C, ...)`` of a map ``(C, H, W)`` at points ``(..., 2)``, row and column. Up to one pixel
    outside, the edge's values are used; beyond, 0."""
    sides = points.new_tensor(pixels.shape[1:])
    inside = ((points >= -1) & (points <= sides)).all(-1)
    scaled = 2 * points / (sides - 1).clamp(min=1) - 1
    grid = scaled.flip(-1).reshape(1, 1, -1, 2)
    found = functional.grid_sample(pixels[None], grid, padding_mode='border', align_corners=True)
    return found.reshape(pixels.shape[0], *points.shape[:-1]) * inside
