"""Operators with learned places or kernels, against plain convolutions, plain loops and numeric gradients."""

import hiera_mm  # noqa: F401  (installs the stand-in)

import pytest
import torch
import torch.nn.functional as functional
from mmcv.ops import (
    DeformConv2d,
    ModulatedDeformConv2d,
    carafe,
    carafe_naive,
    deform_conv2d,
    masked_conv2d,
    modulated_deform_conv2d,
)

from tests.helpers import gradcheck


def drawn(*shape, spread=1.0):
    return spread * torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize('stride, padding, dilation, groups', [(1, 1, 1, 1), (2, 0, 1, 2), ((1, 2), (2, 1), 2, 1)])
def test_without_offsets_it_is_a_convolution(stride, padding, dilation, groups):
    pixels, weight = drawn(2, 4, 9, 8), drawn(6, 4 // groups, 3, 3)
    expected = functional.conv2d(pixels, weight, None, stride, padding, dilation, groups)
    offset = torch.zeros(2, 18, *expected.shape[2:], dtype=torch.float64)
    torch.testing.assert_close(deform_conv2d(pixels, offset, weight, stride, padding, dilation, groups), expected)
    mask = torch.full_like(offset[:, :9], 0.5)
    bias = drawn(6)
    found = modulated_deform_conv2d(pixels, offset, mask, weight, bias, stride, padding, dilation, groups)
    torch.testing.assert_close(found, expected / 2 + bias[:, None, None])


def test_offsets_move_down_first_and_then_to_the_right():
    """By whole pixels, another part of the map is convolved."""
    pixels, weight = drawn(1, 2, 12, 12), drawn(3, 2, 3, 3)
    offset = torch.zeros(1, 9, 2, 6, 6, dtype=torch.float64)
    offset[:, :, 0], offset[:, :, 1] = 2, 3
    expected = functional.conv2d(pixels, weight)[:, :, 2:8, 3:9]
    found = deform_conv2d(pixels[:, :, :8, :8], offset.reshape(1, 18, 6, 6), weight)
    torch.testing.assert_close(found[:, :, :4, :3], expected[:, :, :4, :3])


@pytest.mark.parametrize('groups, deform_groups', [(1, 1), (2, 2)])
def test_gradients_are_those_of_small_steps(groups, deform_groups):
    pixels, weight = drawn(2, 4, 3, 2).requires_grad_(), drawn(4, 4 // groups, 3, 3).requires_grad_()
    # Away from whole pixels, where values have kinks.
    offset = (0.5 + drawn(2, 18 * deform_groups, 3, 2, spread=0.05)).requires_grad_()
    mask = torch.rand(2, 9 * deform_groups, 3, 2, dtype=torch.float64).requires_grad_()
    bias = drawn(4).requires_grad_()

    def plain(pixels, offset, weight):
        return deform_conv2d(pixels, offset, weight, 1, 1, 1, groups, deform_groups)

    def modulated(pixels, offset, mask, weight, bias):
        return modulated_deform_conv2d(pixels, offset, mask, weight, bias, 1, 1, 1, groups, deform_groups)

    assert gradcheck(plain, (pixels, offset, weight))
    assert gradcheck(modulated, (pixels, offset, mask, weight, bias))


@pytest.mark.parametrize('modulated', [False, True])
def test_places_a_whole_pixel_outside_have_no_gradient_as_in_mmcv(modulated):
    """Before anything is learned all places of the padding lie there."""
    pixels, weight = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3)
    offset = torch.zeros(1, 18, 3, 3).requires_grad_()
    if modulated:
        found = modulated_deform_conv2d(pixels, offset, torch.ones(1, 9, 3, 3), weight, None, 1, 1, 1)
    else:
        found = deform_conv2d(pixels, offset, weight, 1, 1, 1)
    found.sum().backward()
    gradient = offset.grad.reshape(3, 3, 2, 3, 3)
    # The upper left place of the upper left pixel is at (-1, -1).
    assert gradient[0, 0, :, 0, 0].tolist() == [0, 0]
    assert gradient[0, 1, :, 0, 1].tolist() == [0, 0]
    # At the lower edge the next row is empty.
    assert gradient[1, 1, :, 2, 1].tolist() == [-1, 0]
    assert gradient[1, 1, :, 1, 1].tolist() == [0, 0]


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_is_kept(dtype, device):
    layer = DeformConv2d(3, 4, 3, padding=1).to(device, dtype)
    pixels = torch.randn(1, 3, 6, 6, dtype=dtype).requires_grad_()
    found = layer(pixels, torch.full((1, 18, 6, 6), 0.3, dtype=dtype))
    found.float().sum().backward()
    exact = DeformConv2d(3, 4, 3, padding=1).to(device)
    exact.load_state_dict(layer.state_dict())
    expected = exact(pixels.detach().float(), torch.full((1, 18, 6, 6), 0.3, dtype=dtype).float())
    assert found.dtype == pixels.grad.dtype == dtype
    torch.testing.assert_close(found.float(), expected, rtol=2e-2, atol=2e-2)
    modulated = ModulatedDeformConv2d(3, 4, 3, padding=1).to(device, dtype)
    factors = torch.ones(1, 9, 6, 6, dtype=dtype)
    assert modulated(pixels, torch.zeros(1, 18, 6, 6, dtype=dtype), factors).dtype == dtype


def reassembled(features, masks, side, groups, factor):
    """By the paper's equations 1 and 4, a pixel at a time."""
    batch, channels, height, width = features.shape
    padded = functional.pad(features, [side // 2] * 4)
    found = features.new_zeros(batch, channels, height * factor, width * factor)
    for row in range(height * factor):
        for column in range(width * factor):
            top, left = row // factor, column // factor
            around = padded[:, :, top : top + side, left : left + side].reshape(batch, groups, -1, side**2)
            kernel = masks[:, :, row, column].reshape(batch, groups, 1, side**2)
            found[:, :, row, column] = (around * kernel).sum(-1).reshape(batch, channels)
    return found


@pytest.mark.parametrize('side, groups, factor', [(3, 1, 2), (5, 2, 2), (1, 4, 3)])
def test_carafe_is_a_sum_around_each_pixel(side, groups, factor):
    features = drawn(2, 4, 3, 2).requires_grad_()
    masks = drawn(2, groups * side**2, 3 * factor, 2 * factor).requires_grad_()
    expected = reassembled(features, masks, side, groups, factor)
    torch.testing.assert_close(carafe(features, masks, side, groups, factor), expected)
    torch.testing.assert_close(carafe_naive(features, masks, side, groups, factor), expected)
    assert gradcheck(lambda *given: carafe(*given, side, groups, factor), (features, masks))


def test_a_masked_convolution_is_one_at_the_chosen_pixels():
    pixels, weight, bias = drawn(1, 3, 6, 5), drawn(4, 3, 3, 3), drawn(4)
    mask = torch.rand(1, 6, 5) > 0.6
    expected = functional.conv2d(pixels, weight, bias, padding=1) * mask
    torch.testing.assert_close(masked_conv2d(pixels, mask.double(), weight, bias, 1), expected)
    assert not masked_conv2d(pixels, torch.zeros(1, 6, 5), weight, bias, 1).any()


def test_offsets_of_a_larger_map_are_read_as_mmcv_reads_them():
    """From the first of each picture's numbers on, on which DyHead's weights were trained."""
    pixels, weight = drawn(2, 3, 4, 4), drawn(4, 3, 3, 3)
    offset, mask = drawn(2, 18, 8, 8), torch.rand(2, 9, 8, 8, dtype=torch.float64)
    found = modulated_deform_conv2d(pixels, offset.requires_grad_(), mask, weight, None, 1, 1, 1)
    read = [
        values.detach().reshape(2, -1)[:, : count * 16].reshape(2, count, 4, 4)
        for values, count in ((offset, 18), (mask, 9))
    ]
    torch.testing.assert_close(found, modulated_deform_conv2d(pixels, *read, weight, None, 1, 1, 1))
    found.sum().backward()
    gradient = offset.grad.reshape(2, -1)
    assert gradient[:, : 18 * 16].abs().sum() > 0 and not gradient[:, 18 * 16 :].any()
