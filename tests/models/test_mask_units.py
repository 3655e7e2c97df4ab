"""The token layout against the formula of the official order."""

from contextlib import nullcontext

from hiera_mm.models import cpu
from hiera_mm.models.mask_units import cut_into_windows, map_to_units, pad_to_units, pool_units, units_to_map

import pytest
import torch


def test_tokens_lie_where_the_formula_says():
    height, width = 16, 24
    numbered = torch.arange(height * width).reshape(1, 1, height, width)
    units = map_to_units(numbered, cut_into_windows((2, 3), side=3))
    assert units.shape == (1, 6, 64, 1)
    for y in range(height):
        for x in range(width):
            unit = (y // 8) * (width // 8) + x // 8
            q1, q2, q3 = (2 * ((y >> bit) & 1) + ((x >> bit) & 1) for bit in range(3))
            assert units[0, unit, (q1 * 4 + q2) * 4 + q3, 0] == numbered[0, 0, y, x]


def test_units_of_a_window_are_consecutive_and_cut_off_windows_come_last():
    """Worked out by hand: a grid of 3 x 5 units in windows of 2 x 2."""
    numbers = torch.arange(15).reshape(1, 1, 3, 5)
    each_token = numbers.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    units = map_to_units(each_token, cut_into_windows((3, 5), side=2))
    whole = [0, 1, 5, 6, 2, 3, 7, 8]
    right, bottom, corner = [4, 9], [10, 11, 12, 13], [14]
    assert units[0, :, 0, 0].tolist() == whole + right + bottom + corner
    assert (units == units[:, :, :1]).all()


def test_units_of_a_clips_window_are_consecutive_and_come_back_to_their_places():
    """Worked out by hand: 3 times of 1 x 3 units in windows of 2 times and 2 units."""
    numbers = torch.arange(9).reshape(1, 1, 3, 1, 3)
    each_token = numbers.repeat_interleave(8, dim=3).repeat_interleave(8, dim=4)
    regions = cut_into_windows((3, 1, 3), side=2, window_times=2)
    units = map_to_units(each_token, regions)
    whole, right, later, corner = [0, 1, 3, 4], [2, 5], [6, 7], [8]
    assert units[0, :, 0, 0].tolist() == whole + right + later + corner
    assert [region.windows for region in regions] == [1, 1, 1, 1]
    assert torch.equal(units_to_map(units, regions), each_token)


@pytest.mark.parametrize('window_times', [None, 1, 2, 3])
@pytest.mark.parametrize('side', [None, 1, 2])
def test_pooling_a_clips_rows_is_max_pooling_each_time(side, window_times):
    clip = torch.randn(2, 5, 4, 24, 16)
    regions = cut_into_windows((4, 3, 2), side, window_times)
    pooled = units_to_map(pool_units(map_to_units(clip, regions)), regions)
    assert torch.equal(pooled, torch.nn.functional.max_pool3d(clip, (1, 2, 2)))


@pytest.mark.parametrize('grid', [(4, 6), (5, 7), (1, 2), (2, 9)])
def test_regions_cover_the_grid_once_with_windows_of_one_size_each(grid):
    regions = cut_into_windows(grid, side=2)
    covered = torch.zeros(grid)
    for region in regions:
        covered[region.top : region.top + region.rows, region.left : region.left + region.columns] += 1
        assert region.rows % region.window_rows == 0 and region.columns % region.window_columns == 0
        assert region.windows * region.window_rows * region.window_columns == region.units
    assert covered.eq(1).all()
    assert sum(region.windows for region in regions) == -(-grid[0] // 2) * -(-grid[1] // 2)


@pytest.mark.parametrize('side', [1, 2, 3])
@pytest.mark.parametrize('pools', [0, 1, 2, 3])
def test_pooling_rows_is_max_pooling_of_the_map(pools, side):
    feature_map = torch.randn(2, 5, 16, 24)
    regions = cut_into_windows((2, 3), side=side)
    units = map_to_units(feature_map, regions)
    for _ in range(pools):
        units = pool_units(units)
        feature_map = torch.nn.functional.max_pool2d(feature_map, 2)
    assert torch.equal(units_to_map(units, regions), feature_map)


def test_maps_keep_the_channels_of_a_token_together_in_memory():
    regions = cut_into_windows((3, 5), side=2)
    units = map_to_units(torch.randn(2, 7, 24, 40), regions)
    assert units_to_map(units, regions).is_contiguous(memory_format=torch.channels_last)


def test_padding_fills_bottom_and_right_with_zeros():
    padded = pad_to_units(torch.ones(1, 3, 33, 64), multiple=32)
    assert padded.shape == (1, 3, 64, 64)
    assert padded[:, :, :33].eq(1).all() and padded[:, :, 33:].eq(0).all()


@pytest.mark.parametrize('tied', [False, True])
@pytest.mark.parametrize('functions', [nullcontext, cpu._FasterKernels])
def test_the_gradient_of_pooling_is_that_of_max_pooling_the_map(functions, tied):
    feature_map = torch.randint(3, (2, 5, 16, 24)).float() if tied else torch.randn(2, 5, 16, 24)
    feature_map.requires_grad_()
    regions = cut_into_windows((2, 3), side=3)
    factor = torch.randn(2, 5, 8, 12)
    with functions():
        pooled = units_to_map(pool_units(map_to_units(feature_map, regions)), regions)
    (got,) = torch.autograd.grad((pooled * factor).sum(), feature_map)
    (expected,) = torch.autograd.grad((torch.nn.functional.max_pool2d(feature_map, 2) * factor).sum(), feature_map)
    assert torch.equal(got, expected)
