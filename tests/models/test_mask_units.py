"""The token layout against the formula of the official order."""

from hiera_mm.models.mask_units import map_to_units, pad_to_units, pool_units, units_to_map

import pytest
import torch


def test_tokens_lie_where_the_formula_says():
    height, width = 16, 24
    numbered = torch.arange(height * width).reshape(1, 1, height, width)
    units = map_to_units(numbered)
    assert units.shape == (1, 6, 64, 1)
    for y in range(height):
        for x in range(width):
            unit = (y // 8) * (width // 8) + x // 8
            q1, q2, q3 = (2 * ((y >> bit) & 1) + ((x >> bit) & 1) for bit in range(3))
            assert units[0, unit, (q1 * 4 + q2) * 4 + q3, 0] == numbered[0, 0, y, x]


@pytest.mark.parametrize('pools', [0, 1, 2, 3])
def test_pooling_rows_is_max_pooling_of_the_map(pools):
    feature_map = torch.randn(2, 5, 16, 24)
    units = map_to_units(feature_map)
    for _ in range(pools):
        units = pool_units(units)
        feature_map = torch.nn.functional.max_pool2d(feature_map, 2)
    assert torch.equal(units_to_map(units, rows=2, columns=3), feature_map)


def test_padding_fills_bottom_and_right_with_zeros():
    padded = pad_to_units(torch.ones(1, 3, 33, 64), multiple=32)
    assert padded.shape == (1, 3, 64, 64)
    assert padded[:, :, :33].eq(1).all() and padded[:, :, 33:].eq(0).all()
