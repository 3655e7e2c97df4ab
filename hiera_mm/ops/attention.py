"""Attention at sampled positions: mmcv's operators in plain torch."""

import functools

from hiera_mm.ops.gradients import fill_gradients
from hiera_mm.ops.precision import kernel_dtype

import torch
from mmengine.logging import print_log
from torch import Tensor


def ms_deform_attn_forward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Multi-scale deformable attention (Zhu et al., ICLR 2021, arXiv 2010.04159): ``(B, queries, heads * C)``.

    Args:
        value: ``(B, positions of all levels, heads, C)``.
        spatial_shapes: ``(levels, 2)``, height and width of each level.
        level_start_index: Unused.
        sampling_locations: ``(B, queries, heads, levels, points, 2)``, x and y from 0 to 1.
        attention_weights: ``(B, queries, heads, levels, points)``.
        im2col_step: Unused.
    """
    if value.is_cuda:
        _warn_of_speed()
    return _attend(value, spatial_shapes, sampling_locations, attention_weights)


def ms_deform_attn_backward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Gradients of :func:`ms_deform_attn_forward`, written to the three ``grad_`` tensors."""
    fill_gradients(
        lambda values, places, weights: _attend(values, spatial_shapes, places, weights),
        [value, sampling_locations, attention_weights],
        grad_output,
        [grad_value, grad_sampling_loc, grad_attn_weight],
    )


def _attend(value: Tensor, spatial_shapes: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    # mmcv's own implementation for CPUs.
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    exact = (tensor.to(kernel_dtype(tensor)) for tensor in (value, places, weights))
    with torch.autocast(value.device.type, enabled=False):
        values, locations, factors = exact
        return multi_scale_deformable_attn_pytorch(values, spatial_shapes, locations, factors).to(value.dtype)


@functools.cache
def _warn_of_speed() -> None:
    print_log(
        'mmcv has no compiled operators here, so multi-scale deformable attention runs in plain torch, with the same '
        'results but slower; docs/install.md says how to compile them.',
        logger='current',
        level=30,
    )


def psamask_forward(input: Tensor, output: Tensor, psa_type: int, **shape: int) -> None:
    """Point-wise spatial attention (Zhao et al., ECCV 2018): convert masks over positions around each pixel to masks
    over positions of the map, and fill ``output`` ``(B, H * W, H, W)``.

    Args:
        input: ``(B, h_mask * w_mask, H, W)``.
        output: Written in place.
        psa_type: 0 to collect: channel ``i`` of the output at pixel ``j`` is the weight of ``i`` for ``j``; 1 to
            distribute: ``i`` and ``j`` are swapped.
        shape: ``num_``, ``h_feature``, ``w_feature``, ``h_mask``, ``w_mask``, ``half_h_mask``, ``half_w_mask``.
    """
    output.copy_(_psa_mask(input, psa_type, **shape))


def psamask_backward(grad_output: Tensor, grad_input: Tensor, psa_type: int, **shape: int) -> None:
    """Gradient of :func:`psamask_forward`, into ``grad_input``."""
    fill_gradients(
        lambda masks: _psa_mask(masks, psa_type, **shape), [torch.zeros_like(grad_input)], grad_output, [grad_input]
    )


def _psa_mask(
    masks: Tensor,
    psa_type: int,
    num_: int,
    h_feature: int,
    w_feature: int,
    h_mask: int,
    w_mask: int,
    half_h_mask: int,
    half_w_mask: int,
) -> Tensor:
    def steps(count: int, middle: int) -> Tensor:
        """The mask index from each pixel (rows) to each position (columns)."""
        places = torch.arange(count, device=masks.device)
        return places[None] - places[:, None] + middle

    down, across = steps(h_feature, half_h_mask), steps(w_feature, half_w_mask)
    inside_rows, inside_columns = (down >= 0) & (down < h_mask), (across >= 0) & (across < w_mask)
    # (H, W, H, W): row and column of the pixel, then of the position.
    index = down.clamp(0, h_mask - 1)[:, None, :, None] * w_mask + across.clamp(0, w_mask - 1)[None, :, None]
    inside = inside_rows[:, None, :, None] & inside_columns[None, :, None]
    by_pixel = masks.permute(0, 2, 3, 1).flatten(1, 2)  # (B, pixels, positions of the mask)
    pixels = h_feature * w_feature
    found = by_pixel.gather(2, index.reshape(1, pixels, pixels).expand(num_, -1, -1)) * inside.reshape(pixels, pixels)
    found = found.transpose(1, 2) if psa_type == 0 else found
    return found.reshape(num_, pixels, h_feature, w_feature)
