"""Attention at chosen places of maps: mmcv's operators in torch's own."""

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
        value: ``(B, places of all levels, heads, C)``.
        spatial_shapes: ``(levels, 2)``, height and width of each.
        level_start_index: Not needed here.
        sampling_locations: ``(B, queries, heads, levels, points, 2)``, x and y from 0 to 1.
        attention_weights: ``(B, queries, heads, levels, points)``.
        im2col_step: Not needed here.
    """
    if value.is_cuda:
        _warn_of_speed()
    return _plain(value, spatial_shapes, sampling_locations, attention_weights)


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
    """Gradients of :func:`ms_deform_attn_forward`, into the three tensors named so."""
    fill_gradients(
        lambda values, places, weights: _plain(values, spatial_shapes, places, weights),
        [value, sampling_locations, attention_weights],
        grad_output,
        [grad_value, grad_sampling_loc, grad_attn_weight],
    )


def _plain(value: Tensor, spatial_shapes: Tensor, places: Tensor, weights: Tensor) -> Tensor:
    # mmcv has it for processors without the operator.
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    exact = (tensor.to(kernel_dtype(tensor)) for tensor in (value, places, weights))
    with torch.autocast(value.device.type, enabled=False):
        values, locations, factors = exact
        return multi_scale_deformable_attn_pytorch(values, spatial_shapes, locations, factors).to(value.dtype)


@functools.cache
def _warn_of_speed() -> None:
    print_log(
        "mmcv has no compiled operators here, so multi-scale deformable attention runs in torch's own, which is right "
        'but slower; docs/install.md says how to compile them.',
        logger='current',
        level=30,
    )


def psamask_forward(input: Tensor, output: Tensor, psa_type: int, **shape: int) -> None:
    """Point-wise spatial attention's masks (Zhao et al., ECCV 2018) from places around a pixel to places of the map:
    fill ``output`` ``(B, H * W, H, W)``.

    Args:
        input: ``(B, h_mask * w_mask, H, W)``.
        output: Written in place.
        psa_type: 0, where each pixel collects: channel ``i`` of the output at pixel ``j`` is what ``j`` takes from
            ``i``; 1, where it distributes: the two change places.
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
        """From a pixel (rows) to each place (columns), as an index of the mask."""
        places = torch.arange(count, device=masks.device)
        return places[None] - places[:, None] + middle

    down, across = steps(h_feature, half_h_mask), steps(w_feature, half_w_mask)
    inside_rows, inside_columns = (down >= 0) & (down < h_mask), (across >= 0) & (across < w_mask)
    # (H, W, H, W): pixel's row and column, then those of the place.
    index = down.clamp(0, h_mask - 1)[:, None, :, None] * w_mask + across.clamp(0, w_mask - 1)[None, :, None]
    inside = inside_rows[:, None, :, None] & inside_columns[None, :, None]
    of_pixels = masks.permute(0, 2, 3, 1).flatten(1, 2)  # (B, pixels, places of the mask)
    pixels = h_feature * w_feature
    found = of_pixels.gather(2, index.reshape(1, pixels, pixels).expand(num_, -1, -1)) * inside.reshape(pixels, pixels)
    found = found.transpose(1, 2) if psa_type == 0 else found
    return found.reshape(num_, pixels, h_feature, w_feature)
