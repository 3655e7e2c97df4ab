"""Attention at chosen places, against plain loops and numeric gradients."""

import hiera_mm  # noqa: F401  (installs the stand-in)

import pytest
import torch
from mmcv.ops import PSAMask
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction, multi_scale_deformable_attn_pytorch

from tests.helpers import gradcheck

SHAPES = [[4, 3], [2, 2]]


def drawn(dtype=torch.float64):
    value = torch.randn(2, 16, 2, 3, dtype=dtype)
    places = torch.rand(2, 5, 2, 2, 4, 2, dtype=dtype)
    weights = torch.rand(2, 5, 2, 2, 4, dtype=dtype)
    return value, places, weights


def attended(value, places, weights):
    return MultiScaleDeformableAttnFunction.apply(
        value, torch.tensor(SHAPES), torch.tensor([0, 12]), places, weights, 64
    )


def test_deformable_attention_is_a_sum_of_bilinear_values():
    value, places, weights = drawn()
    found = attended(value, places, weights).reshape(2, 5, 2, 3)
    for image, query, head in [(0, 0, 0), (1, 4, 1)]:
        expected = torch.zeros(3, dtype=torch.float64)
        for level, (start, (height, width)) in enumerate(zip((0, 12), SHAPES, strict=True)):
            level_map = value[image, start : start + height * width, head].reshape(height, width, 3)
            for point in range(4):
                x, y = (places[image, query, head, level, point] * torch.tensor([width, height]) - 0.5).tolist()
                weight = weights[image, query, head, level, point]
                for row in range(height):
                    for column in range(width):
                        near = max(0, 1 - abs(row - y)) * max(0, 1 - abs(column - x))
                        expected += weight * near * level_map[row, column]
        torch.testing.assert_close(found[image, query, head], expected)


def test_its_gradients_are_those_of_small_steps():
    assert gradcheck(attended, tuple(tensor.requires_grad_() for tensor in drawn()))


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_goes_through_float32_also_under_autocast(dtype, device):
    value, places, weights = drawn(torch.float32)
    expected = multi_scale_deformable_attn_pytorch(value.to(dtype).float(), torch.tensor(SHAPES), places, weights)
    with torch.autocast(device, dtype=torch.bfloat16):
        # A layer under autocast gives values in half precision, and places in float32.
        found = attended(value.to(dtype), places, weights)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=3e-2, atol=3e-2)


@pytest.mark.parametrize('kind', ['collect', 'distribute'])
def test_psa_masks_go_from_places_around_a_pixel_to_places_of_the_map(kind):
    height, width, side = 3, 4, (5, 3)
    masks = torch.randn(2, 15, height, width, dtype=torch.float64).requires_grad_()
    found = PSAMask(kind, side)(masks)
    expected = torch.zeros(2, height * width, height, width, dtype=torch.float64)
    for row in range(height):
        for column in range(width):
            for down in range(side[0]):
                for across in range(side[1]):
                    there = row + down - side[0] // 2, column + across - side[1] // 2
                    if 0 <= there[0] < height and 0 <= there[1] < width:
                        value = masks[:, down * side[1] + across, row, column].detach()
                        place, pixel = there[0] * width + there[1], row * width + column
                        if kind == 'collect':
                            expected[:, place, row, column] = value
                        else:
                            expected[:, pixel, there[0], there[1]] = value
    torch.testing.assert_close(found, expected)
    assert gradcheck(PSAMask(kind, side), (masks,))
