"""Position embeddings, and how they follow the input's size."""

import math
from collections.abc import Mapping

from hiera_mm.errors import UserError
from hiera_mm.models.mask_units import UNIT_SIDE

import torch
import torch.nn.functional as F
from torch import Tensor


def resize_position_table(table: Tensor, height: int, width: int) -> Tensor:
    """Fit a square learned table ``(1, N, C)`` to a token grid, as ``(1, C, height, width)``.

    A grid of the table's own size gets the table unchanged; any other gets it resized bicubically over
    its whole extent, as ViTDet (arXiv 2203.16527) does with the tables of plain transformers.
    """
    return resize_map(table_to_map(table), height, width)


def absolute_win(global_part: Tensor, window_part: Tensor, height: int, width: int, antialias: bool = False) -> Tensor:
    """The absolute-win embedding of *Window Attention is Bugged* (arXiv 2311.05613), ``(1, C, height, width)``.

    The window part ``(1, C, 8, 8)`` is repeated over the token grid, so that it stays in step with the mask
    units; only the global part ``(1, C, h, w)`` is resized. Both sides of the grid are multiples of 8.
    """
    resized = resize_map(global_part, height, width, antialias).permute(0, 2, 3, 1)
    tiles = resized.unflatten(2, (-1, UNIT_SIDE)).unflatten(1, (-1, UNIT_SIDE))
    # Axes: 1 row of tiles, 2 y in the tile, 3 column of tiles, 4 x in the tile.
    repeated = window_part.permute(0, 2, 3, 1)[:, None, :, None]
    return (tiles + repeated).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)


def split_position_table(table: Tensor) -> tuple[Tensor, Tensor]:
    """Split a plain table ``(1, N, C)`` into the global part ``(1, C, side, side)`` and the window part of
    :func:`absolute_win`, which at the table's own size adds them up to the table again.

    The window part is the mean of the table's 8 x 8 tiles; the rest, kept at full size, is the global part
    (our own method: no weights of Hiera trained with both parts on ImageNet or Kinetics are published).
    """
    whole = table_to_map(table)
    channels, side = whole.shape[1:3]
    tiles = side // UNIT_SIDE
    window_part = whole.reshape(1, channels, tiles, UNIT_SIDE, tiles, UNIT_SIDE).mean(dim=(2, 4))
    return whole - window_part.tile(1, 1, tiles, tiles), window_part


def resize_temporal_table(table: Tensor, length: int) -> Tensor:
    """Resize ``(1, T, C)`` to ``(1, length, C)``, linearly over its whole extent; unchanged if it fits."""
    if table.shape[1] == length:
        return table
    resized = F.interpolate(table.float().transpose(1, 2), size=length, mode='linear', align_corners=False)
    return resized.transpose(1, 2).to(table.dtype)


def table_to_map(table: Tensor) -> Tensor:
    """A square table ``(1, N, C)`` as ``(1, C, side, side)``."""
    side = math.isqrt(table.shape[1])
    return table.reshape(1, side, side, -1).permute(0, 3, 1, 2)


def resize_map(grid: Tensor, height: int, width: int, antialias: bool = False) -> Tensor:
    """Resize ``(1, C, h, w)`` to ``(1, C, height, width)``, bicubically and in float32; unchanged if it fits."""
    # Comparing a size that is left open in torch.export would exclude the table's own; resizing to it changes nothing.
    is_open = isinstance(height, torch.SymInt) or isinstance(width, torch.SymInt)
    if not is_open and grid.shape[-2:] == (height, width):
        return grid
    channels_last = grid.float().contiguous(memory_format=torch.channels_last)
    resized = F.interpolate(
        channels_last, size=(height, width), mode='bicubic', align_corners=False, antialias=antialias
    )
    return resized.to(grid.dtype)


def fit_position_tables(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str
) -> tuple[dict[str, Tensor], str]:
    """Fit the position tables of a checkpoint to a model; returns them and a description of what was done.

    Args:
        given: The checkpoint's ``pos_embed`` (``pos_embed_spatial`` and ``pos_embed_temporal`` for clips) and, if it
            has one, ``pos_embed_window``.
        wanted: The model's tables.
        source: Name of the checkpoint, for messages.

    Raises:
        UserError: for two tables where the model has one, or a plain table that can't be fitted.
    """
    name = 'pos_embed_spatial' if 'pos_embed_spatial' in wanted else 'pos_embed'
    if name not in given:
        return {}, 'none in the file'
    fit = _fit_two_tables if 'pos_embed_window' in given else _fit_plain_table
    fitted, words = fit(given, wanted, name, source)
    if 'pos_embed_temporal' in given and 'pos_embed_temporal' in wanted:
        held, length = given['pos_embed_temporal'].shape[1], wanted['pos_embed_temporal'].shape[1]
        fitted['pos_embed_temporal'] = resize_temporal_table(given['pos_embed_temporal'], length)
        if held != length:
            words += f'; temporal table resized linearly from {held} to {length} (num_frames={2 * held} would leave it)'
    return fitted, words


def _fit_two_tables(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], name: str, source: str
) -> tuple[dict[str, Tensor], str]:
    side = given[name].shape[-1]
    if 'pos_embed_window' not in wanted:
        raise UserError(
            f"The checkpoint '{source}' has the two tables of the absolute-win embedding, but the model has one; set "
            f"pos_embed='absolute_win' and pos_embed_size={side} on the backbone."
        )
    wanted_side = wanted[name].shape[-1]
    fitted = {name: resize_map(given[name], wanted_side, wanted_side), 'pos_embed_window': given['pos_embed_window']}
    return fitted, 'as in the file' if side == wanted_side else _resized('global table', side, wanted_side)


def _fit_plain_table(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], name: str, source: str
) -> tuple[dict[str, Tensor], str]:
    table = given[name]
    side = math.isqrt(table.shape[1])
    if table.ndim != 3 or side**2 != table.shape[1]:
        raise UserError(
            f"The position table '{name}' in the checkpoint '{source}' is {tuple(table.shape)}; it must hold "
            '(1, side x side, channels); take a checkpoint that was trained on square images.'
        )
    if 'pos_embed_window' in wanted:
        if side % UNIT_SIDE:
            raise UserError(
                f"The position table '{name}' in the checkpoint '{source}' is one of {side} x {side}, which can't be "
                f"split into windows of {UNIT_SIDE} x {UNIT_SIDE}; leave pos_embed='absolute_win' out."
            )
        global_part, window_part = split_position_table(table)
        wanted_side = wanted[name].shape[-1]
        fitted = {name: resize_map(global_part, wanted_side, wanted_side), 'pos_embed_window': window_part}
        split = f'table of {side} x {side} split into a window part of {UNIT_SIDE} x {UNIT_SIDE} and a global part'
        return fitted, split if side == wanted_side else f'{split}; {_resized("that", side, wanted_side)}'
    wanted_side = math.isqrt(wanted[name].shape[1])
    resized = resize_position_table(table, wanted_side, wanted_side).flatten(2).transpose(1, 2)
    return {name: resized}, 'as in the file' if side == wanted_side else _resized('table', side, wanted_side)


def _resized(what: str, side: int, wanted_side: int) -> str:
    return (
        f'{what} resized from {side} x {side} to {wanted_side} x {wanted_side} (pos_embed_size={side} would leave it '
        f'as it is)'
    )
