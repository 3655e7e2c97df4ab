"""The Hiera backbone (Ryali et al., ICML 2023, arXiv 2306.00989) for images and clips.

Parameter names are those of the published checkpoints, so Meta's weights fit without renaming.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from hiera_mm.architectures import ARCHITECTURES, LONG_NAMES
from hiera_mm.compat import is_exporting
from hiera_mm.errors import UserError
from hiera_mm.models.cpu import is_transforming, per_row
from hiera_mm.models.gpu import add_in_units, block_runner
from hiera_mm.models.half_precision import in_half_precision, is_autocast, with_weights_of_now
from hiera_mm.models.lora import add_lora
from hiera_mm.models.mask_units import (
    UNIT_SIDE,
    Region,
    average_units,
    cut_into_windows,
    int_shape,
    pad_to_units,
    pool_units,
    units_to_map,
)
from hiera_mm.models.position import (
    absolute_win,
    fit_position_tables,
    resize_position_table,
    resize_temporal_table,
)
from hiera_mm.weights.load import LORA_MARK, load_backbone_weights

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn.bricks.scale import LayerScale
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor
from torch.utils.checkpoint import checkpoint

PATCH_STRIDE = 4
UNIT_PIXELS = PATCH_STRIDE * UNIT_SIDE
"""Side of a mask unit in pixels, 32, which is also the stride of the last stage."""

FRAME_STRIDE = 2
"""Frames that one token spans in a clip."""

PRETRAINING_GRID = 56
"""Side in tokens of the published position tables, trained on 224 x 224 pixels."""

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Memory format by the number of axes: with the channels of a token next to each other no step moves single values, and
convolutions are faster."""

MAX_GROUPS = 65535
"""Most attention groups in one call, limited by the grids of CUDA's fused kernels (pytorch issues 142228 and
146704)."""

POS_EMBED_MODES = ('resized', 'absolute_win')


@MODELS.register_module()
class Hiera(BaseModule):
    """Hiera for images, ``(B, in_channels, H, W)``, or with ``num_frames`` for clips, ``(B, in_channels, T, H, W)``,
    to one map for each of ``out_indices``.

    Stage ``i`` gives ``(B, embed_dim * 2 ** i, ceil(H / s), ceil(W / s))`` with ``s`` = 4, 8, 16, 32, or
    ``(B, embed_dim * 2 ** i, T / 2, ceil(H / s), ceil(W / s))``: the output of its last block, without a norm
    unless ``out_norm``. Any ``H`` and ``W`` from 32 pixels up work; a side that is no multiple of 32 is filled
    with zeros at the bottom or right and the maps are cropped. Any even ``T`` works. Maps are in channels-last
    memory format.
    Stages 1 and 2 attend inside mask units, stages 3 and 4 globally (section 3.2) or inside ``window_sizes``;
    the first block of a stage still attends as the stage before it, and pools its queries.

    Args:
        arch: Size by its letter (``t s b bp l h``), by its long name (``tiny small base base_plus large
            huge``), ``s_abswin`` or ``b_abswin`` (timm's models with LayerScale), or a dict with
            ``embed_dim``, ``num_heads`` (both of stage 1; they double at each later stage), ``depths``
            (blocks of the four stages) and, if wanted, ``layer_scale=True`` (a learned factor on each
            branch) and ``pooled_shortcut=True`` (where the width doubles, the shortcut is the maximum and
            the mean of the pooled tokens, instead of a linear layer).
        num_frames: None for images; for clips an even number of frames: the temporal position table has
            ``num_frames / 2`` entries. 16 in Meta's weights. For clips of another length the table is resized linearly.
        in_channels: Channels of the image or clip.
        q_pools: Stages after the first that pool, 3, or 2 for masked autoencoding (appendix A): the last then has
            stride 16. Pooling has no weights.
        out_indices: Stages (0 to 3) whose maps are returned, in this order. Stages after the last of them are not
            built, and are left out of a checkpoint.
        window_sizes: Sides in tokens of the attention windows of the four stages, such as ``(8, 4, 14, 7)``
            or ``(8, 4, 16, 8)`` (SAM 2's ``window_spec``, arXiv 2408.00714); None for global attention in
            stages 3 and 4. Windows that leave the image are filled with zeros after the norm, as in
            ViTDet and SAM 2.
        window_frames: For clips, the even number of frames that these windows span; None for all (our addition, for
            volumes: published models of clips attend globally).
        global_blocks: Indices of blocks, counted from 0 over all stages, that attend globally in spite of
            ``window_sizes``.
        pos_embed: How the position embedding follows the image's size: ``'resized'`` resizes one table;
            ``'absolute_win'`` repeats an 8 x 8 window part and resizes a global part (arXiv 2311.05613). For the
            latter, plain checkpoints are split into the two parts, which changes nothing at 224 x 224.
        pos_embed_size: Side in tokens of the (global) table: 56 in Meta's weights, 7 or 14 in SAM 2's.
        pos_embed_antialias: Resize the global part as timm's ``abswin`` models do.
        drop_path_rate: Stochastic depth of the last block; the rates rise linearly from 0.
        frozen_stages: -1 trains everything; 0 freezes the patch embedding and the position table; ``n``
            also freezes the first ``n`` stages.
        with_cp: Recompute the activations of all blocks in the backward pass to save memory, or of some stages, as
            ``(True, True, False, False)``.
        out_norm: Put a LayerNorm on each returned map. Published checkpoints have no such norms.
        lora: Learn low-rank updates of the attention's layers and keep the rest as pre-trained: arguments of peft's
            ``LoraConfig``, such as ``dict(r=16, lora_alpha=32)`` (:mod:`hiera_mm.models.lora`).
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` loads a published checkpoint or your own, by path,
            URL or name (:mod:`hiera_mm.weights.zoo`); with ``inflate=True`` a checkpoint for images
            starts a model for clips, and ``key='ema'`` takes one of several sets of weights in a file.

    Raises:
        UserError: for an unknown ``arch`` or ``pos_embed``, windows that mask units don't fill, ``window_frames`` that
            are odd or without windows of clips, ``out_indices``, ``global_blocks`` or ``frozen_stages`` out of range,
            an odd ``num_frames``, and in ``forward`` for an image smaller than 32 pixels or a clip of an odd number of
            frames.
    """

    def __init__(
        self,
        arch: str | dict = 'b',
        num_frames: int | None = None,
        in_channels: int = 3,
        q_pools: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        window_sizes: Sequence[int] | None = None,
        window_frames: int | None = None,
        global_blocks: Sequence[int] = (),
        pos_embed: str = 'resized',
        pos_embed_size: int = PRETRAINING_GRID,
        pos_embed_antialias: bool = False,
        drop_path_rate: float = 0.0,
        frozen_stages: int = -1,
        with_cp: bool | Sequence[bool] = False,
        out_norm: bool = False,
        lora: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        settings = _architecture(arch)
        embed_dim, self.depths = settings['embed_dim'], settings['depths']
        self.out_indices = tuple(out_indices)
        self.window_side = None if window_sizes is None else _window_side(window_sizes)
        self.window_times = None if window_frames is None else window_frames // FRAME_STRIDE
        self.num_frames = num_frames
        self.q_pools = q_pools
        self.pos_embed_antialias = pos_embed_antialias
        self.frozen_stages = frozen_stages
        self.with_cp = (with_cp,) * 4 if isinstance(with_cp, bool) else tuple(with_cp)
        _check_range('out_indices', self.out_indices, 0, 3)
        self.global_blocks = tuple(global_blocks)
        _check_range('global_blocks', self.global_blocks, 0, sum(self.depths) - 1)
        _check_range('frozen_stages', (frozen_stages,), -1, 4)
        _check_range('q_pools', (q_pools,), 2, 3)
        if len(self.with_cp) != 4:
            raise UserError(f"Hiera's 'with_cp' must be True, False, or one value for each stage, but is {with_cp}.")
        if pos_embed not in POS_EMBED_MODES:
            raise UserError(f"Hiera's 'pos_embed' must be one of {', '.join(POS_EMBED_MODES)}, but is '{pos_embed}'.")

        _check_frames(num_frames, window_sizes, window_frames)

        self.in_channels = in_channels
        self.patch_embed = PatchEmbedding(in_channels, embed_dim, clips=num_frames is not None)
        for name, shape in _position_tables(embed_dim, num_frames, pos_embed, pos_embed_size).items():
            self.register_parameter(name, nn.Parameter(torch.zeros(shape)))
        windows = self.window_side, self.window_times
        blocks = _make_blocks(settings, windows, frozenset(global_blocks), drop_path_rate, q_pools)
        self.blocks = blocks[: sum(self.depths[: max(self.out_indices) + 1])]
        self.out_norms: nn.ModuleDict | None = None
        if out_norm:
            widths = {str(i): embed_dim * 2**i for i in self.out_indices}
            self.out_norms = nn.ModuleDict({i: nn.LayerNorm(c, eps=1e-6) for i, c in widths.items()})

        self.apply(_init_as_published)
        for name in sorted(self.no_weight_decay()):
            nn.init.trunc_normal_(self.get_parameter(name), std=0.02)
        self._freeze()
        if lora is not None:
            add_lora(self, lora)
        if init_cfg is not None:
            self._check = self.register_forward_pre_hook(_warn_if_weights_are_random)
            self._register_load_state_dict_pre_hook(self._mark_as_loaded)

    def _mark_as_loaded(self, *_: object) -> None:
        self._is_init = True

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Maps of images or clips; see the class for their shapes."""
        self._check_input(pixels)
        return in_half_precision(self, self._maps, pixels)

    def _maps(self, pixels: Tensor) -> tuple[Tensor, ...]:
        height, width = int_shape(pixels)[-2:]
        tokens, positions = self._tokens(pad_to_units(pixels, multiple=UNIT_PIXELS))
        regions = cut_into_windows(_unit_grid(tokens), self.window_side, self.window_times)

        maps = {}
        for stage, units in self._stage_ends(add_in_units(tokens, positions, regions), regions).items():
            stride = PATCH_STRIDE * 2 ** min(stage, self.q_pools)
            stage_map = units_to_map(self._normalised(units, stage), regions)
            maps[stage] = stage_map[..., : -(-height // stride), : -(-width // stride)]
        return tuple(_in_channels_last(maps[stage]) for stage in self.out_indices)

    def forward_kept(self, pixels: Tensor, kept: Tensor) -> tuple[Tensor, ...]:
        """Rows of the kept mask units at the ends of ``out_indices``, as if there were no others (section 3.1).

        Args:
            pixels: As for :meth:`forward`, both sides multiples of 32. The other units' pixels should be zero, as the
                patch embedding overlaps.
            kept: Indices of the units, ``(B, n)``, in reading order of the unit grid, for clips time by time.

        Returns:
            ``(B, n, tokens, channels)`` for each stage, with 64, 16, 4 and 1 tokens (4 in the last with two q-pools).
        """
        self._check_input(pixels)
        return in_half_precision(self, self._kept_rows, pixels, kept)

    def _kept_rows(self, pixels: Tensor, kept: Tensor) -> tuple[Tensor, ...]:
        tokens, positions = self._tokens(pixels)
        units = add_in_units(tokens, positions, cut_into_windows(_unit_grid(tokens)))
        units = units.gather(1, kept[..., None, None].expand(-1, -1, *units.shape[2:]))
        ends = self._stage_ends(units, regions=())
        return tuple(ends[stage] for stage in self.out_indices)

    def _stage_ends(self, units: Tensor, regions: Sequence[Region]) -> dict[int, Tensor]:
        """The rows at the ends of the stages of ``out_indices``."""
        ends, blocks = {}, [*zip(self.blocks, self._draw_paths(units), strict=True)]
        run = block_runner(self.blocks, units)
        for stage, (depth, end) in enumerate(zip(self.depths, accumulate(self.depths), strict=True)):
            recompute = self.with_cp[stage] and self.training and torch.is_grad_enabled()
            for block, paths in blocks[end - depth : end]:
                if recompute:
                    again = with_weights_of_now(block, run)
                    units = checkpoint(again, units, regions, paths, use_reentrant=False)
                else:
                    units = run(block, units, regions, paths)
            if stage in self.out_indices:
                ends[stage] = units
        return ends

    def _draw_paths(self, units: Tensor) -> Sequence[Tensor | None]:
        """Stochastic depth: a factor for both branches of each block and each sample, drawn for all blocks at once."""
        drop_probs: list[Any] = [block.drop_prob if block.training else 0.0 for block in self.blocks]
        if not any(drop_probs):
            return [None] * len(drop_probs)
        dtype = torch.get_autocast_dtype(units.device.type) if is_autocast(units) else units.dtype
        # In half precision a rounded factor would change the branches' mean, were the probability not that of it.
        given = _numbers(drop_probs, units.device)
        factors = (1 / (1 - given)).to(dtype)[:, None, None, None, None, None]
        factors, kept = (x.to(units.device, non_blocking=True) for x in (factors, 1 / factors.float()))
        drawn = torch.rand(len(drop_probs), 2, len(units), 1, 1, 1, device=units.device)
        return ((drawn < kept) * factors).unbind()

    def init_weights(self) -> None:
        """Load the weights of ``init_cfg``; the constructor has already drawn random ones."""
        if self.init_cfg is not None:
            load_backbone_weights(self, self.init_cfg)
        self._is_init = True

    def train(self, mode: bool = True) -> 'Hiera':
        """Set the mode, leaving frozen stages in evaluation mode (no stochastic depth)."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter for layer-wise learning-rate decay, as in mmpretrain's contract.

        Args:
            param_name: Name of the parameter in the whole model.
            prefix: Prefix of the backbone's own names there, such as ``'backbone.'``.

        Returns:
            The layer's number and the count of layers, ``depth + 2``: 0 for the patch embedding and the
            position tables, ``i + 1`` for block ``i``, ``depth + 1`` for everything after the blocks and for
            low-rank updates, which start from zero in every layer.
        """
        layers = len(self.blocks) + 2
        own_name = param_name.removeprefix(prefix)
        if param_name.startswith(prefix) and LORA_MARK not in own_name:
            if own_name.startswith(('pos_embed', 'patch_embed')):
                return 0, layers
            if own_name.startswith('blocks.'):
                return int(own_name.split('.')[1]) + 1, layers
        return layers - 1, layers

    def fit_position_tables(self, given: Mapping[str, Tensor], source: str) -> tuple[dict[str, Tensor], str]:
        """The position tables of a checkpoint as this model needs them, and what was done, in words."""
        return fit_position_tables(given, dict(self.named_parameters()), source)

    @property
    def widths(self) -> list[int]:
        """Channels of the maps of ``out_indices``."""
        ends = [*accumulate(self.depths)]
        return [len(self.blocks[ends[stage] - 1].norm2.weight) for stage in self.out_indices]

    def no_weight_decay(self) -> set[str]:
        """Names of the position tables, which take no weight decay whatever their shape (timm's contract)."""
        return {name for name, _ in self.named_parameters() if name.startswith('pos_embed')}

    def _check_input(self, pixels: Tensor) -> None:
        height, width = int_shape(pixels)[-2:]
        if pixels.ndim != (4 if self.num_frames is None else 5):
            wanted = '(B, channels, H, W)' if self.num_frames is None else '(B, channels, T, H, W)'
            raise UserError(
                f"This Hiera takes {wanted}, but got {int_shape(pixels)}; set the backbone's 'num_frames' for clips "
                f'and leave it out for images.'
            )
        if pixels.shape[1] != self.in_channels:
            raise UserError(
                f'This Hiera takes {self.in_channels} channels, but got {pixels.shape[1]}; set in_channels='
                f'{pixels.shape[1]} on the backbone (colour weights are adapted), or load the input with '
                f'{self.in_channels} channels.'
            )
        if min(height, width) < UNIT_PIXELS:
            raise UserError(
                f'Hiera needs images of at least {UNIT_PIXELS} x {UNIT_PIXELS} pixels (one mask unit), but this batch '
                f'is {height} x {width}; enlarge them in the pipeline (Resize or Pad).'
            )
        if self.num_frames is not None and pixels.shape[2] % FRAME_STRIDE:
            raise UserError(
                f'Hiera needs clips with an even number of frames, but these have {pixels.shape[2]}; set an even '
                f"'clip_len' where the pipeline samples frames."
            )

    def _tokens(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """The patch embedding, and the positions to add to it."""
        tokens = self.patch_embed(pixels)
        positions = self._position_embedding(int_shape(tokens)[2:])
        if not is_autocast(pixels):
            positions = positions.to(tokens.dtype)
        return tokens, positions

    def _position_embedding(self, grid: Sequence[int]) -> Tensor:
        """``(1, C, H, W)`` or ``(1, C, T, H, W)`` for a grid of ``(H, W)`` or ``(T, H, W)`` tokens."""
        height, width = grid[-2:]
        table = self.pos_embed if self.num_frames is None else self.pos_embed_spatial
        if hasattr(self, 'pos_embed_window'):
            spatial = absolute_win(table, self.pos_embed_window, height, width, self.pos_embed_antialias)
        else:
            spatial = resize_position_table(table, height, width)
        if self.num_frames is None:
            return spatial
        temporal = resize_temporal_table(self.pos_embed_temporal, grid[0])
        return spatial[:, :, None] + temporal.transpose(1, 2)[..., None, None]

    def _normalised(self, units: Tensor, stage: int) -> Tensor:
        return units if self.out_norms is None else self.out_norms[str(stage)](units)

    def _freeze(self) -> None:
        if self.frozen_stages >= 0:
            for name in self.no_weight_decay():
                self.get_parameter(name).requires_grad_(False)
        for module in self._frozen_modules():
            module.requires_grad_(False)
            module.eval()

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        return [self.patch_embed, *self.blocks[: sum(self.depths[: self.frozen_stages])]]


class PatchEmbedding(nn.Module):
    """A convolution of 7 x 7 pixels, for clips 3 x 7 x 7, with a stride of 4 pixels and 2 frames.

    ``(B, in_channels, H, W)`` to ``(B, channels, H / 4, W / 4)``, or ``(B, in_channels, T, H, W)`` to
    ``(B, channels, T / 2, H / 4, W / 4)``.
    """

    def __init__(self, in_channels: int, channels: int, clips: bool) -> None:
        super().__init__()
        if clips:
            stride = (FRAME_STRIDE, PATCH_STRIDE, PATCH_STRIDE)
            self.proj: nn.Module = nn.Conv3d(in_channels, channels, (3, 7, 7), stride, padding=(1, 3, 3))
        else:
            self.proj = nn.Conv2d(in_channels, channels, kernel_size=7, stride=PATCH_STRIDE, padding=3)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.proj(_in_channels_last(pixels))


@per_row
class Block(nn.Module):
    """Transformer block on rows of mask units, ``(B, units, T, C)``.

    The first block of stages 2 to 4 doubles the width and pools 2 x 2 tokens; its shortcut is the pooled
    projection of the *normalised* input. Without pooling, in masked autoencoding, it only doubles the width.

    Args:
        dim, dim_out: Channels before and after.
        heads: Attention heads.
        window_side, window_times, pools: See :class:`Attention`.
        drop_prob: Probability with which each branch is dropped in training (stochastic depth).
        layer_scale: A learned factor for each channel of both branches.
        pooled_shortcut: Where the width doubles, the shortcut is the maximum and the mean of the 2 x 2 tokens
            of the unnormalised input, concatenated; without pooling, of each token alone.
    """

    def __init__(
        self,
        dim: int,
        dim_out: int,
        heads: int,
        window_side: int | None,
        window_times: int | None,
        pools: bool,
        drop_prob: float,
        layer_scale: bool,
        pooled_shortcut: bool,
    ) -> None:
        super().__init__()
        self.pools, self.widens = pools, dim != dim_out
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, dim_out, heads, window_side, window_times, pools)
        self.norm2 = nn.LayerNorm(dim_out, eps=1e-6)
        self.mlp = MLP(dim_out)
        self.drop_prob = drop_prob
        self.proj = nn.Linear(dim, dim_out) if dim != dim_out and not pooled_shortcut else None
        self.ls1 = LayerScale(dim_out) if layer_scale else nn.Identity()
        self.ls2 = LayerScale(dim_out) if layer_scale else nn.Identity()

    def forward(self, units: Tensor, regions: Sequence[Region], paths: Tensor | None = None) -> Tensor:
        """``paths`` are factors of both branches for each sample, ``(2, B, 1, 1, 1)``."""
        attention_path, mlp_path = (None, None) if paths is None else paths.unbind()
        return self.add_mlp(self.add_attention(units, regions, attention_path), mlp_path)

    def add_attention(self, units: Tensor, regions: Sequence[Region], path: Tensor | None = None) -> Tensor:
        """The first half: ``shortcut + attention(norm(units))``."""
        normalised = self.norm1(units)
        branch = self.ls1(self.attn(normalised, regions))
        return self._shortcut(units, normalised) + _along(path, branch)

    def add_mlp(self, units: Tensor, path: Tensor | None = None) -> Tensor:
        """The second half: ``units + mlp(norm(units))``."""
        return units + _along(path, self.ls2(self.mlp(self.norm2(units))))

    def _shortcut(self, units: Tensor, normalised: Tensor) -> Tensor:
        if self.proj is not None:
            widened = self.proj(normalised)
            return pool_units(widened) if self.pools else widened
        if self.pools:
            return torch.cat([pool_units(units), average_units(units)], dim=-1)
        return torch.cat([units, units], dim=-1) if self.widens else units


def _numbers(values: Sequence[float], device: torch.device) -> Tensor:
    """Numbers as a tensor, on the processor, or compiled on the device, as CUDA graphs take nothing from elsewhere."""
    if torch.compiler.is_compiling():
        return torch.stack([torch.full((), value, device=device) for value in values])
    return torch.tensor(values)


def _along(path: Tensor | None, branch: Tensor) -> Tensor:
    return branch if path is None else branch * path


@per_row
class Attention(nn.Module):
    """Self-attention inside each mask unit, inside windows of units, or over all of them.

    Args:
        dim, dim_out: Channels before and after.
        heads: Attention heads, of ``dim_out / heads`` channels each.
        window_side: Mask units on a window's side: 1 for attention inside mask units, None for global.
        window_times: Mask units in a window along time; None for all, and for images.
        pools: Take the maximum of every 2 x 2 queries.
    """

    def __init__(
        self, dim: int, dim_out: int, heads: int, window_side: int | None, window_times: int | None, pools: bool
    ) -> None:
        super().__init__()
        self.heads = heads
        self.window_side, self.window_times = window_side, window_times
        self.pools = pools
        self.qkv = nn.Linear(dim, 3 * dim_out)
        self.proj = nn.Linear(dim_out, dim_out)

    def forward(self, units: Tensor, regions: Sequence[Region]) -> Tensor:
        q, k, v = self.qkv(units).chunk(3, dim=-1)
        return self.proj(self.mix(pool_units(q) if self.pools else q, k, v, regions))

    def mix(self, q: Tensor, k: Tensor, v: Tensor, regions: Sequence[Region]) -> Tensor:
        """Values mixed by the likeness of queries, which are pooled already, and keys."""
        if self.window_side is None:
            return self._attend(q, k, v, windows=1)
        if self.window_side == 1:
            return self._attend(q, k, v, windows=int_shape(q)[1])
        return self._attend_inside_windows(q, k, v, regions, self.window_side)

    def _attend_inside_windows(
        self, q: Tensor, k: Tensor, v: Tensor, regions: Sequence[Region], window_side: int
    ) -> Tensor:
        if len(regions) == 1:
            return self._attend_in_region(window_side, regions[0], q, k, v)
        lengths = [region.units for region in regions]
        parts = zip(regions, *(x.split(lengths, dim=1) for x in (q, k, v)), strict=True)
        return torch.cat([self._attend_in_region(window_side, *part) for part in parts], dim=1)

    def _attend_in_region(self, window_side: int, region: Region, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        whole = window_side**2 * (self.window_times or region.times or 1)
        absent = whole - region.units // region.windows
        return self._attend(q, k, v, region.windows, padding=absent * int_shape(k)[2])

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, windows: int, padding: int = 0) -> Tensor:
        """Attention inside each of ``windows`` equal parts of the rows, each with ``padding`` more keys."""
        shape, groups = int_shape(q), int_shape(q)[0] * windows
        # 4-D tensors (groups, heads, tokens, head width): the fused kernels don't take 5-D ones.
        q, k, v = (x.reshape(groups, -1, self.heads, x.shape[-1] // self.heads).transpose(1, 2) for x in (q, k, v))
        if padding:
            k, v = self._with_padding(k, v, padding)
        # An exported program takes batches of any size, so it can't depend on how many groups there are.
        many = not is_exporting() and groups > MAX_GROUPS
        parts = zip(*(x.split(MAX_GROUPS) for x in (q, k, v)), strict=True) if many else [(q, k, v)]
        mixed = [F.scaled_dot_product_attention(*part).transpose(1, 2) for part in parts]
        return (mixed[0] if len(mixed) == 1 else torch.cat(mixed)).reshape(shape)

    def _with_padding(self, k: Tensor, v: Tensor, padding: int) -> tuple[Tensor, Tensor]:
        """Add keys and values of padding tokens, which are zero after the norm, so that the linear layer gives its
        bias."""
        _, k_bias, v_bias = self.qkv.bias.to(k.dtype).reshape(3, 1, self.heads, 1, -1)
        padding_shape = (int_shape(k)[0], self.heads, padding, int_shape(k)[-1])
        padded = [torch.cat([x, bias.expand(padding_shape)], dim=2) for x, bias in ((k, k_bias), (v, v_bias))]
        return padded[0], padded[1]


@per_row
class MLP(nn.Module):
    """Two linear layers with exact GELU between, four times as wide inside."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


def _architecture(arch: str | dict) -> dict:
    if isinstance(arch, str):
        known = ARCHITECTURES.get(LONG_NAMES.get(arch, arch))
        if known is None:
            names = ', '.join([*ARCHITECTURES, *LONG_NAMES])
            raise UserError(f"Hiera has no arch '{arch}'; take one of {names}, or a dict.")
        arch = known
    required, optional = {'embed_dim', 'num_heads', 'depths'}, {'layer_scale', 'pooled_shortcut'}
    if not required <= set(arch) <= required | optional:
        raise UserError(
            f"An arch dict of Hiera needs the keys 'embed_dim', 'num_heads' and 'depths' and may have 'layer_scale' "
            f"and 'pooled_shortcut', but this one has {sorted(arch)}."
        )
    settings: dict[str, Any] = dict(layer_scale=False, pooled_shortcut=False) | dict(arch)
    settings['depths'] = tuple(settings['depths'])
    if len(settings['depths']) != 4 or min(settings['depths']) < 1:
        raise UserError(f"Hiera has four stages of at least one block, but arch says 'depths' = {settings['depths']}.")
    if settings['embed_dim'] % settings['num_heads']:
        raise UserError(
            f"Hiera's 'embed_dim' {settings['embed_dim']} can't be divided among {settings['num_heads']} heads; "
            f"choose 'num_heads' so that it divides 'embed_dim'."
        )
    return settings


def _in_channels_last(pixels: Tensor) -> Tensor:
    # torch.func's transformations, such as vmap, know no memory formats, which change speed only.
    if is_transforming():
        return pixels
    return pixels.contiguous(memory_format=CHANNELS_LAST[pixels.ndim])


def _warn_if_weights_are_random(backbone: Hiera, _: tuple) -> None:
    """Warn before the first forward pass if the weights of ``init_cfg`` were never loaded. Not an error, since counting
    operations needs no weights."""
    if not backbone._is_init and not next(backbone.parameters()).is_meta:
        print_log(
            f"The backbone's weights are random: init_weights() was not called, which would load {backbone.init_cfg}. "
            'Call it after building the model, or take hiera_mm.backbone(NAME), which loads what it builds.',
            logger='current',
            level=30,
        )
    backbone._check.remove()


def _position_tables(embed_dim: int, num_frames: int | None, mode: str, side: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the position tables, as published."""
    table = 'pos_embed' if num_frames is None else 'pos_embed_spatial'
    tables: dict[str, tuple[int, ...]] = {table: (1, side**2, embed_dim)}
    if mode == 'absolute_win':
        tables = {table: (1, embed_dim, side, side), 'pos_embed_window': (1, embed_dim, UNIT_SIDE, UNIT_SIDE)}
    if num_frames is not None:
        tables['pos_embed_temporal'] = (1, num_frames // FRAME_STRIDE, embed_dim)
    return tables


def _check_frames(num_frames: int | None, window_sizes: Sequence[int] | None, window_frames: int | None) -> None:
    if num_frames is not None and (num_frames < FRAME_STRIDE or num_frames % FRAME_STRIDE):
        raise UserError(f"Hiera's 'num_frames' must be even, or None for images, but is {num_frames}.")
    if window_frames is None:
        return
    if num_frames is None or window_sizes is None:
        raise UserError(
            "Hiera's 'window_frames' is the number of frames in the windows of clips; set 'num_frames' and "
            "'window_sizes' as well, or leave it out."
        )
    if window_frames < FRAME_STRIDE or window_frames % FRAME_STRIDE:
        raise UserError(f"Hiera's 'window_frames' must be even, or None for all frames, but is {window_frames}.")


def _unit_grid(tokens: Tensor) -> tuple[int, ...]:
    """Mask units along each axis of a map of tokens, ``(rows, columns)`` or ``(times, rows, columns)``."""
    *depth, height, width = int_shape(tokens)[2:]
    return (*depth, height // UNIT_SIDE, width // UNIT_SIDE)


def _window_side(window_sizes: Sequence[int]) -> int:
    """Mask units on the side of the windows of stages 3 and 4."""
    side = window_sizes[-1]
    if tuple(window_sizes) != (UNIT_SIDE, UNIT_SIDE // 2, 2 * side, side) or side < 1:
        raise UserError(
            f"Hiera's 'window_sizes' must be 8 and 4 (the mask units) in stages 1 and 2, and twice as large in stage 3 "
            f'as in stage 4, such as (8, 4, 14, 7) or (8, 4, 16, 8), but are {tuple(window_sizes)}.'
        )
    return side


def _make_blocks(
    settings: dict,
    windows: tuple[int | None, int | None],
    global_blocks: frozenset[int],
    drop_path_rate: float,
    q_pools: int,
) -> nn.ModuleList:
    window_side, window_times = windows
    depths = settings['depths']
    blocks = nn.ModuleList()
    for stage, depth in enumerate(depths):
        for position in range(depth):
            first = position == 0
            attention_stage = stage - 1 if first and stage else stage
            attention_side = 1 if attention_stage < 2 else window_side
            width = settings['embed_dim'] * 2**stage
            blocks.append(
                Block(
                    dim=width // 2 if first and stage else width,
                    dim_out=width,
                    heads=settings['num_heads'] * 2**stage,
                    window_side=None if len(blocks) in global_blocks else attention_side,
                    window_times=window_times,
                    pools=first and 0 < stage <= q_pools,
                    drop_prob=drop_path_rate * len(blocks) / max(sum(depths) - 1, 1),
                    layer_scale=settings['layer_scale'],
                    pooled_shortcut=settings['pooled_shortcut'],
                )
            )
    return blocks


def _check_range(key: str, values: Sequence[int], lowest: int, highest: int) -> None:
    if any(not lowest <= value <= highest for value in values):
        raise UserError(f"Hiera's '{key}' must lie between {lowest} and {highest}, but is {values}.")


def _init_as_published(module: nn.Module) -> None:
    """Initialise as the official code does: truncated normal weights, and biases of 0.02 instead of 0."""
    if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear | nn.LayerNorm):
        nn.init.constant_(module.bias, 0.02)
