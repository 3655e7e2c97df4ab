"""How the position tables follow the input's size and come out of checkpoints."""

import re

from hiera_mm.errors import UserError
from hiera_mm.models import Hiera
from hiera_mm.models.position import (
    absolute_win,
    fit_position_tables,
    resize_map,
    resize_position_table,
    resize_temporal_table,
    split_position_table,
    table_to_map,
)

import pytest
import torch
from sam2.modeling.backbones.hieradet import Hiera as Sam2Trunk

TINY = dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1))


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


@pytest.mark.parametrize('size', [(256, 256), (200, 336), (8, 16)])
def test_absolute_win_equals_sam2s_embedding(size):
    trunk = Sam2Trunk(window_pos_embed_bkg_spatial_size=(7, 7))
    torch.nn.init.normal_(trunk.pos_embed), torch.nn.init.normal_(trunk.pos_embed_window)
    ours = absolute_win(trunk.pos_embed, trunk.pos_embed_window, *size)
    torch.testing.assert_close(ours.permute(0, 2, 3, 1), trunk._get_pos_embed(size))


def test_a_split_table_is_itself_again_at_its_own_size():
    table = torch.randn(1, 56 * 56, 5)
    torch.testing.assert_close(absolute_win(*split_position_table(table), 56, 56), table_to_map(table))


def test_a_table_that_repeats_every_8_tokens_goes_into_the_window_part_alone():
    tile = torch.randn(1, 5, 8, 8)
    table = tile.tile(1, 1, 7, 7).flatten(2).transpose(1, 2)
    global_part, window_part = split_position_table(table)
    torch.testing.assert_close(window_part, tile)
    assert global_part.abs().max() < 1e-6
    torch.testing.assert_close(absolute_win(global_part, window_part, 16, 32), tile.tile(1, 1, 2, 4), atol=1e-5, rtol=0)


def tables_of(side, two):
    model = Hiera(
        dict(embed_dim=8, num_heads=1, depths=(1, 1, 1, 1)),
        pos_embed='absolute_win' if two else 'resized',
        pos_embed_size=side,
    )
    return {name: value for name, value in model.state_dict().items() if name.startswith('pos_embed')}


@pytest.mark.parametrize(
    'given, wanted, said',
    [
        ((56, False), (56, False), 'as in the file'),
        ((112, False), (56, False), r'table resized from 112 x 112 to 56 x 56 \(pos_embed_size=112 would'),
        ((56, False), (56, True), 'table of 56 x 56 split into a window part of 8 x 8 and a global part$'),
        ((56, False), (14, True), r'split .*; that resized from 56 x 56 to 14 x 14 \(pos_embed_size=56 would'),
        ((7, True), (7, True), 'as in the file'),
        ((7, True), (14, True), r'global table resized from 7 x 7 to 14 x 14 \(pos_embed_size=7 would'),
    ],
)
def test_tables_are_fitted_to_the_models_and_what_was_done_is_said(given, wanted, said):
    given, wanted = tables_of(*given), tables_of(*wanted)
    fitted, words = fit_position_tables(given, wanted, 'file')
    assert {key: value.shape for key, value in fitted.items()} == {key: value.shape for key, value in wanted.items()}
    assert re.search(said, words), words


def test_two_tables_do_not_go_into_a_model_with_one():
    with pytest.raises(UserError, match="set pos_embed='absolute_win' and pos_embed_size=7"):
        fit_position_tables(tables_of(7, True), tables_of(56, False), 'file')


@pytest.mark.parametrize('tokens, told', [(48 * 64, r'is \(1, 3072, 8\)'), (60 * 60, 'is one of 60 x 60, which')])
def test_a_table_that_is_no_square_of_mask_units_is_not_split(tokens, told):
    with pytest.raises(UserError, match=f"'pos_embed' in the checkpoint 'file' {told}"):
        fit_position_tables(dict(pos_embed=torch.zeros(1, tokens, 8)), tables_of(56, True), 'file')


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_a_resized_table_keeps_its_precision(dtype):
    grid, times = torch.randn(1, 4, 8, 8, dtype=dtype), torch.randn(1, 8, 4, dtype=dtype)
    assert resize_map(grid, 12, 10).dtype == resize_temporal_table(times, 6).dtype == dtype


@pytest.mark.parametrize(
    'more', [{}, dict(pos_embed='absolute_win', pos_embed_size=56)], ids=['resized', 'absolute_win']
)
def test_a_model_exported_for_open_sizes_takes_the_size_of_its_table_too(more):
    model = Hiera(dict(embed_dim=16, num_heads=1, depths=(1, 1, 1, 1)), **more).eval()
    units = [torch.export.Dim(name, min=2, max=32) for name in ('rows', 'columns')]
    shapes = ({axis: 32 * unit for axis, unit in zip((2, 3), units, strict=True)},)
    program = torch.export.export(model, (torch.randn(1, 3, 256, 320),), dynamic_shapes=shapes).module()
    for size in ((224, 224), (256, 320), (448, 224)):
        pixels = torch.randn(1, 3, *size)
        for found, expected in zip(program(pixels), model(pixels), strict=True):
            torch.testing.assert_close(found, expected)
