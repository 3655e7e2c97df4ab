"""Convolutions and upsampling with learned offsets or kernels: mmcv's operators in torchvision and torch."""

from collections.abc import Sequence
from typing import NamedTuple

from hiera_mm.ops.gradients import fill_gradients
from hiera_mm.ops.precision import kernel_dtype

import torch
import torch.nn.functional as functional
from torch import Tensor
from torchvision.ops import deform_conv2d


class _Geometry(NamedTuple):
    """A convolution's geometry, each as height and width."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]


def deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    output: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Deformable convolution (Dai et al., ICCV 2017, arXiv 1703.06211): fill ``output`` ``(B, channels, H, W)``.

    Args:
        input: ``(B, C, H, W)``.
        weight: ``(channels, C / group, kH, kW)``.
        offset: ``(B, 2 * deformable_group * kH * kW, H, W)``, how far each sampling position moves down and right.
        output: Written in place.
        columns, ones, im2col_step: Unused.
        kW, kH, dW, dH, padW, padH, dilationW, dilationH: Kernel, strides, padding and dilation.
        group, deformable_group: Unused; they follow from the shapes of weight and offset.
    """
    output.copy_(_convolve(_Geometry((dH, dW), (padH, padW), (dilationH, dilationW)), input, offset, weight))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    im2col_step: int,
) -> None:
    """Gradients of :func:`deform_conv_forward` with respect to input and offset."""
    geometry = _Geometry((dH, dW), (padH, padW), (dilationH, dilationW))
    fill_gradients(
        lambda pixels, moved: _convolve(geometry, pixels, moved, weight),
        [input, offset],
        grad_output,
        [grad_input, grad_offset],
    )
    grad_offset.mul_(_inside_map(geometry, offset, input.shape[2:], (kH, kW)))


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    columns: Tensor,
    ones: Tensor,
    kW: int,
    kH: int,
    dW: int,
    dH: int,
    padW: int,
    padH: int,
    dilationW: int,
    dilationH: int,
    group: int,
    deformable_group: int,
    scale: float,
    im2col_step: int,
) -> None:
    """Gradient of :func:`deform_conv_forward` with respect to the weight, times ``scale``."""
    geometry = _Geometry((dH, dW), (padH, padW), (dilationH, dilationW))
    # The gradient does not depend on the weight's values, only on its shape and type.
    weight = torch.zeros_like(grad_weight)
    fill_gradients(
        lambda kernel: _convolve(geometry, input, offset, kernel), [weight], scale * grad_output, [grad_weight]
    )


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Deformable convolution with a factor for each sampling position (Zhu et al., CVPR 2019, arXiv 1811.11168):
    ``mask`` ``(B, deformable_group * kernel_h * kernel_w, H, W)``. Otherwise as :func:`deform_conv_forward`."""
    geometry = _Geometry((stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w))
    shape = output.shape[2:]
    offset, mask = _crop_flat(offset, shape), _crop_flat(mask, shape)
    output.copy_(_convolve(geometry, input, offset, weight, mask, bias if with_bias else None))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Gradients of :func:`modulated_deform_conv_forward`, written to the five ``grad_`` tensors."""
    geometry = _Geometry((stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w))
    shape = grad_output.shape[2:]
    fill_gradients(
        lambda pixels, moved, kernel, factor: _convolve(
            geometry, pixels, _crop_flat(moved, shape), kernel, _crop_flat(factor, shape)
        ),
        [input, offset, weight, mask],
        grad_output,
        [grad_input, grad_offset, grad_weight, grad_mask],
    )
    used = _crop_flat(grad_offset, shape)
    used.mul_(_inside_map(geometry, _crop_flat(offset, shape), input.shape[2:], (kernel_h, kernel_w)))
    if with_bias:
        grad_bias.copy_(grad_output.sum((0, 2, 3)))


def _convolve(
    geometry: _Geometry,
    pixels: Tensor,
    offset: Tensor,
    weight: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    dtype = kernel_dtype(pixels)
    exact = [value if value is None else value.to(dtype) for value in (bias, mask)]
    found = deform_conv2d(pixels.to(dtype), offset.to(dtype), weight.to(dtype), exact[0], *geometry, mask=exact[1])
    return found.to(pixels.dtype)


def _crop_flat(values: Tensor, shape: Sequence[int]) -> Tensor:
    """The part of larger offsets or factors (as in DyHead) that mmcv reads: the first numbers of each image."""
    if values.shape[2:] == torch.Size(shape):
        return values
    batch, channels = values.shape[:2]
    return values.reshape(batch, -1)[:, : channels * shape[0] * shape[1]].view(batch, channels, *shape)


def _inside_map(geometry: _Geometry, offset: Tensor, sides: Sequence[int], kernel: tuple[int, int]) -> Tensor:
    """Whether each sampling position is less than one pixel outside the map, so that mmcv gives it a gradient.

    At exactly one pixel outside, where positions at the edge lie before training, mmcv's gradient is 0, and
    torchvision's is not.
    """
    batch, _, *shape = offset.shape
    moved = offset.reshape(batch, -1, *kernel, 2, *shape)
    inside = torch.ones_like(moved[:, :, :, :, 0], dtype=torch.bool)
    for axis in (0, 1):
        starts = torch.arange(shape[axis], device=offset.device) * geometry.stride[axis] - geometry.padding[axis]
        steps = torch.arange(kernel[axis], device=offset.device) * geometry.dilation[axis]
        base = starts.reshape((-1, 1) if axis == 0 else (-1,)) + steps.reshape(
            (-1, 1, 1, 1) if axis == 0 else (-1, 1, 1)
        )
        position = moved[:, :, :, :, axis] + base
        inside &= (position > -1) & (position < sides[axis])
    return inside[:, :, :, :, None].expand_as(moved).reshape(offset.shape)


def masked_im2col_forward(
    im: Tensor,
    mask_h_idx: Tensor,
    mask_w_idx: Tensor,
    col: Tensor,
    kernel_h: int,
    kernel_w: int,
    pad_h: int,
    pad_w: int,
) -> None:
    """Collect a convolution's inputs at chosen pixels: fill ``col`` ``(C * kernel_h * kernel_w, pixels)``.

    Args:
        im: ``(1, C, H, W)``.
        mask_h_idx, mask_w_idx: Rows and columns of the pixels.
        col: Written in place.
        kernel_h, kernel_w, pad_h, pad_w: Kernel and padding.
    """
    padded = functional.pad(im[0], (pad_w, pad_w, pad_h, pad_h))
    rows = mask_h_idx + torch.arange(kernel_h, device=im.device)[:, None]
    columns = mask_w_idx + torch.arange(kernel_w, device=im.device)[:, None]
    col.copy_(padded[:, rows[:, None], columns[None]].reshape(col.shape))


def masked_col2im_forward(
    col: Tensor, mask_h_idx: Tensor, mask_w_idx: Tensor, im: Tensor, height: int, width: int, channels: int
) -> None:
    """Write values ``(channels, pixels)`` to chosen pixels of ``im`` ``(1, channels, height, width)``."""
    im[0, :, mask_h_idx, mask_w_idx] = col


def carafe_forward(
    features: Tensor,
    masks: Tensor,
    rfeatures: Tensor,
    routput: Tensor,
    rmasks: Tensor,
    output: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Upsampling by kernels that depend on the content (Wang et al., ICCV 2019, arXiv 1905.02188): fill ``output``
    ``(B, C, scale_factor * H, scale_factor * W)``.

    Args:
        features: ``(B, C, H, W)``.
        masks: ``(B, group_size * kernel_size ** 2, scale_factor * H, scale_factor * W)``, a kernel for each pixel.
        rfeatures: Filled with the features, since mmcv passes it to the backward operator.
        routput, rmasks: Unused.
        output: Written in place.
        kernel_size: Side of the kernels.
        group_size: Number of channel groups; the channels of a group share a kernel.
        scale_factor: Size of the output divided by the size of the features.
    """
    rfeatures.copy_(features)
    output.copy_(_reassemble(features, masks, kernel_size, group_size, scale_factor))


def carafe_backward(
    grad_output: Tensor,
    rfeatures: Tensor,
    masks: Tensor,
    rgrad_output: Tensor,
    rgrad_input_hs: Tensor,
    rgrad_input: Tensor,
    rgrad_masks: Tensor,
    grad_input: Tensor,
    grad_masks: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """Gradients of :func:`carafe_forward`, into ``grad_input`` and ``grad_masks``."""
    carafe_naive_backward(grad_output, rfeatures, masks, grad_input, grad_masks, kernel_size, group_size, scale_factor)


def carafe_naive_forward(
    features: Tensor, masks: Tensor, output: Tensor, kernel_size: int, group_size: int, scale_factor: int
) -> None:
    """As :func:`carafe_forward`."""
    output.copy_(_reassemble(features, masks, kernel_size, group_size, scale_factor))


def carafe_naive_backward(
    grad_output: Tensor,
    features: Tensor,
    masks: Tensor,
    grad_input: Tensor,
    grad_masks: Tensor,
    kernel_size: int,
    group_size: int,
    scale_factor: int,
) -> None:
    """As :func:`carafe_backward`."""
    fill_gradients(
        lambda pixels, kernels: _reassemble(pixels, kernels, kernel_size, group_size, scale_factor),
        [features, masks],
        grad_output,
        [grad_input, grad_masks],
    )


def _reassemble(pixels: Tensor, kernels: Tensor, side: int, groups: int, factor: int) -> Tensor:
    batch, channels, height, width = pixels.shape
    around = functional.unfold(pixels, side, padding=side // 2).reshape(batch, groups, -1, side**2, height, 1, width, 1)
    weights = kernels.reshape(batch, groups, 1, side**2, height, factor, width, factor)
    return (around * weights).sum(3).reshape(batch, channels, height * factor, width * factor)
