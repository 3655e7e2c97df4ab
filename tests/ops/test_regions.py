"""Deformable pooling of regions, against RoIAlign and numeric gradients."""

import hiera_mm  # noqa: F401  (installs the stand-in)

import pytest
import torch
from mmcv.ops import deform_roi_pool
from torchvision.ops import roi_align

from tests.helpers import gradcheck

REGIONS = [[0, 2.0, 3.0, 30.0, 25.0], [1, -8.0, 0.0, 20.0, 40.0], [0, 10.0, 10.0, 14.0, 11.0]]


@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_without_offsets_it_is_roi_align(sampling_ratio):
    pixels = torch.randn(2, 3, 10, 12, dtype=torch.float64)
    regions = pixels.new_tensor(REGIONS)
    expected = roi_align(pixels, regions, (4, 3), 0.25, sampling_ratio or -1, aligned=True)
    found = deform_roi_pool(pixels, regions, pixels.new_zeros(0), (4, 3), 0.25, sampling_ratio)
    torch.testing.assert_close(found, expected)
    none = deform_roi_pool(pixels, regions, pixels.new_zeros(3, 2, 4, 3), (4, 3), 0.25, sampling_ratio)
    torch.testing.assert_close(none, expected)


def test_an_offset_moves_a_bin_to_the_right_and_down_in_parts_of_the_region():
    pixels = torch.randn(2, 3, 10, 12, dtype=torch.float64)
    offset = torch.randn(3, 2, 2, 2, dtype=torch.float64)
    found = deform_roi_pool(pixels, pixels.new_tensor(REGIONS), offset, (2, 2), 0.25, 2, 0.1)
    for number, (image, x1, y1, x2, y2) in enumerate(REGIONS):
        width, height = x2 - x1, y2 - y1
        for row in range(2):
            for column in range(2):
                left = x1 + width * (column / 2 + 0.1 * float(offset[number, 0, row, column]))
                top = y1 + height * (row / 2 + 0.1 * float(offset[number, 1, row, column]))
                box = pixels.new_tensor([[image, left, top, left + width / 2, top + height / 2]])
                expected = roi_align(pixels, box, (1, 1), 0.25, 2, aligned=True)[0, :, 0, 0]
                torch.testing.assert_close(found[number, :, row, column], expected)


@pytest.mark.parametrize('sampling_ratio', [0, 2])
def test_gradients_are_those_of_small_steps(sampling_ratio):
    pixels = torch.randn(2, 2, 8, 9, dtype=torch.float64).requires_grad_()
    offset = torch.randn(2, 2, 2, 2, dtype=torch.float64).requires_grad_()
    regions = torch.tensor([[0, 3.3, 4.1, 22.7, 20.9], [1, 6.2, 5.3, 25.1, 22.3]], dtype=torch.float64)
    pooled = lambda *given: deform_roi_pool(given[0], regions, given[1], (2, 2), 0.25, sampling_ratio, 0.1)  # noqa: E731
    assert gradcheck(pooled, (pixels, offset))


def test_no_regions_give_nothing():
    pixels = torch.randn(1, 2, 8, 8)
    assert deform_roi_pool(pixels, pixels.new_zeros(0, 5), pixels.new_zeros(0), (2, 2), 1.0).shape == (0, 2, 2, 2)
