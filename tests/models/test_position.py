"""How the position table follows the input's size."""

from hiera_mm.models.position import resize_position_table

import torch


def test_table_of_its_own_size_is_unchanged():
    table = torch.randn(1, 56 * 56, 4)
    grid = resize_position_table(table, 56, 56)
    assert torch.equal(grid, table.reshape(1, 56, 56, 4).permute(0, 3, 1, 2))


def test_resizing_keeps_a_smooth_table_in_place():
    """A table that rises from left to right still does so over its whole extent, and is constant downwards."""
    ramp = ((torch.arange(56) + 0.5) / 56).expand(56, 56).reshape(1, -1, 1)
    grid = resize_position_table(ramp, 32, 100)[0, 0]
    expected = ((torch.arange(100) + 0.5) / 100).expand(32, 100)
    torch.testing.assert_close(grid[:, 4:-4], expected[:, 4:-4], rtol=0, atol=1e-3)
