"""The Hiera backbone (Ryali et al., ICML 2023, arXiv 2306.00989) for images.

Parameter names are those of the published checkpoints, so Meta's weights fit without renaming.
"""

from collections.abc import Sequence
from itertools import accumulate

from hiera_mm.errors import UserError
from hiera_mm.models.mask_units import UNIT_SIDE, map_to_units, pad_to_units, pool_units, units_to_map
from hiera_mm.models.position import resize_position_table
from hiera_mm.weights.load import load_backbone_weights

import torch
import torch.nn as nn
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor
from torch.utils.checkpoint import checkpoint

PATCH_STRIDE = 4
UNIT_PIXELS = PATCH_STRIDE * UNIT_SIDE
"""Side of a mask unit in pixels, 32, and so the stride of the last stage."""

PRETRAINING_SIDE = 224
"""Side in pixels of the images that the published position tables were trained on."""

ARCHITECTURES = {
    # Table 2 of the paper.
    't': dict(embed_dim=96, num_heads=1, depths=(1, 2, 7, 2)),
    's': dict(embed_dim=96, num_heads=1, depths=(1, 2, 11, 2)),
    'b': dict(embed_dim=96, num_heads=1, depths=(2, 3, 16, 3)),
    'bp': dict(embed_dim=112, num_heads=2, depths=(2, 3, 16, 3)),
    'l': dict(embed_dim=144, num_heads=2, depths=(2, 6, 36, 4)),
    'h': dict(embed_dim=256, num_heads=4, depths=(2, 6, 36, 4)),
}
LONG_NAMES = dict(tiny='t', small='s', base='b', base_plus='bp', large='l', huge='h')


@MODELS.register_module()
class Hiera(BaseModule):
    """Hiera for images: ``(B, in_channels, H, W)`` to one map for each of ``out_indices``.

    Stage ``i`` gives ``(B, embed_dim * 2 ** i, ceil(H / s), ceil(W / s))`` with ``s`` = 4, 8, 16, 32: the
    output of its last block, without a norm unless ``out_norm``. Any ``H`` and ``W`` from 32 pixels up work;
    a side that is no multiple of 32 is filled with zeros at the bottom or right and the maps are cropped.
    Stages 1 and 2 attend inside mask units, stages 3 and 4 globally (section 3.2); the first block of a
    stage still attends as the stage before it, and pools its queries.

    Args:
        arch: Size by its letter (``t s b bp l h``), by its long name (``tiny small base base_plus large
            huge``), or a dict with ``embed_dim``, ``num_heads`` (both of stage 1; they double at each
            later stage) and ``depths`` (blocks of the four stages).
        in_channels: Channels of the image.
        out_indices: Stages (0 to 3) whose maps are returned, in this order.
        drop_path_rate: Stochastic depth of the last block; the rates rise linearly from 0.
        frozen_stages: -1 trains everything; 0 freezes the patch embedding and the position table; ``n``
            also freezes the first ``n`` stages.
        with_cp: Recompute each block's activations in the backward pass to save memory.
        out_norm: Put a LayerNorm on each returned map. Published checkpoints hold no such norms.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` loads a published or own checkpoint.

    Raises:
        UserError: for an unknown ``arch``, an ``out_indices`` or ``frozen_stages`` out of range, and in
            ``forward`` for an image smaller than 32 pixels.
    """

    def __init__(
        self,
        arch: str | dict = 'b',
        in_channels: int = 3,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        drop_path_rate: float = 0.0,
        frozen_stages: int = -1,
        with_cp: bool = False,
        out_norm: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        embed_dim, num_heads, self.depths = _architecture(arch)
        self.out_indices = tuple(out_indices)
        self.frozen_stages = frozen_stages
        self.with_cp = with_cp
        _check_range('out_indices', self.out_indices, 0, 3)
        _check_range('frozen_stages', (frozen_stages,), -1, 4)

        table_side = PRETRAINING_SIDE // PATCH_STRIDE
        self.patch_embed = PatchEmbedding(in_channels, embed_dim)
        self.pos_embed = nn.Parameter(torch.zeros(1, table_side**2, embed_dim))
        self.blocks = _make_blocks(embed_dim, num_heads, self.depths, drop_path_rate)
        if out_norm:
            widths = {str(i): embed_dim * 2**i for i in self.out_indices}
            self.out_norms = nn.ModuleDict({i: nn.LayerNorm(c, eps=1e-6) for i, c in widths.items()})
        else:
            self.out_norms = None

        self.apply(_init_as_published)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self._freeze()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """``(B, in_channels, H, W)`` to a tuple of ``(B, C_i, ceil(H / s_i), ceil(W / s_i))``."""
        height, width = image.shape[-2:]
        if min(height, width) < UNIT_PIXELS:
            raise UserError(
                f'Hiera needs images of at least {UNIT_PIXELS} x {UNIT_PIXELS} pixels (one mask unit), but this batch '
                f'is {height} x {width}; enlarge them in the pipeline (Resize or Pad).'
            )
        tokens = self.patch_embed(pad_to_units(image, multiple=UNIT_PIXELS))
        rows, columns = tokens.shape[-2] // UNIT_SIDE, tokens.shape[-1] // UNIT_SIDE
        tokens = tokens + resize_position_table(self.pos_embed, *tokens.shape[-2:])
        units = map_to_units(tokens)

        maps = {}
        stage_ending_at = {end - 1: stage for stage, end in enumerate(accumulate(self.depths))}
        for index, block in enumerate(self.blocks):
            if self.with_cp and self.training and torch.is_grad_enabled():
                units = checkpoint(block, units, use_reentrant=False)
            else:
                units = block(units)
            stage = stage_ending_at.get(index)
            if stage in self.out_indices:
                stride = PATCH_STRIDE * 2**stage
                stage_map = units_to_map(self._normalised(units, stage), rows, columns)
                maps[stage] = stage_map[..., : -(-height // stride), : -(-width // stride)]
        return tuple(maps[stage].contiguous() for stage in self.out_indices)

    def init_weights(self) -> None:
        """Load what ``init_cfg`` names; the constructor has already drawn random weights."""
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
            prefix: What stands before the backbone's own names there, such as ``'backbone.'``.

        Returns:
            The layer's number and the count of layers, ``depth + 2``: 0 for the patch embedding and the
            position tables, ``i + 1`` for block ``i``, ``depth + 1`` for all that follows the blocks.
        """
        layers = len(self.blocks) + 2
        own_name = param_name.removeprefix(prefix)
        if param_name.startswith(prefix):
            if own_name.startswith(('pos_embed', 'patch_embed')):
                return 0, layers
            if own_name.startswith('blocks.'):
                return int(own_name.split('.')[1]) + 1, layers
        return layers - 1, layers

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that take no weight decay whatever their shape (as timm's contract)."""
        return {name for name, _ in self.named_parameters() if name.startswith('pos_embed')}

    def _normalised(self, units: Tensor, stage: int) -> Tensor:
        return units if self.out_norms is None else self.out_norms[str(stage)](units)

    def _freeze(self) -> None:
        if self.frozen_stages >= 0:
            self.pos_embed.requires_grad_(False)
        for module in self._frozen_modules():
            module.requires_grad_(False)
            module.eval()

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        return [self.patch_embed, *self.blocks[: sum(self.depths[: self.frozen_stages])]]


class PatchEmbedding(nn.Module):
    """7 x 7 convolution of stride 4: ``(B, in_channels, H, W)`` to ``(B, channels, H / 4, W / 4)``."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, channels, kernel_size=7, stride=PATCH_STRIDE, padding=3)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image)


class Block(nn.Module):
    """Transformer block on rows of mask units, ``(B, units, T, C)``.

    The first block of stages 2 to 4 doubles the width and pools 2 x 2 tokens; its shortcut is the pooled
    projection of the *normalised* input.
    """

    def __init__(self, dim: int, dim_out: int, heads: int, inside_units: bool, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=1e-6)
        self.attn = Attention(dim, dim_out, heads, inside_units)
        self.norm2 = nn.LayerNorm(dim_out, eps=1e-6)
        self.mlp = MLP(dim_out)
        self.drop_path = DropPath(drop_path)
        self.proj = nn.Linear(dim, dim_out) if dim != dim_out else None

    def forward(self, units: Tensor) -> Tensor:
        normalised = self.norm1(units)
        shortcut = units if self.proj is None else pool_units(self.proj(normalised))
        units = shortcut + self.drop_path(self.attn(normalised))
        return units + self.drop_path(self.mlp(self.norm2(units)))


class Attention(nn.Module):
    """Self-attention inside each mask unit or over all of them; pools the queries where width grows."""

    def __init__(self, dim: int, dim_out: int, heads: int, inside_units: bool) -> None:
        super().__init__()
        self.heads = heads
        self.inside_units = inside_units
        self.pools = dim != dim_out
        self.qkv = nn.Linear(dim, 3 * dim_out)
        self.proj = nn.Linear(dim_out, dim_out)

    def forward(self, units: Tensor) -> Tensor:
        batch, count = units.shape[:2]
        q, k, v = self.qkv(units).chunk(3, dim=-1)
        if self.pools:
            q = pool_units(q)
        tokens = q.shape[2]
        groups = batch * count if self.inside_units else batch
        # 4-D tensors (groups, heads, tokens, head width): with 5-D ones the fused kernels don't serve.
        q, k, v = (x.reshape(groups, -1, self.heads, x.shape[-1] // self.heads).transpose(1, 2) for x in (q, k, v))
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, tokens, -1))


class MLP(nn.Module):
    """Two linear layers with exact GELU, four times as wide between."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


def _architecture(arch: str | dict) -> tuple[int, int, tuple[int, ...]]:
    if isinstance(arch, str):
        known = ARCHITECTURES.get(LONG_NAMES.get(arch, arch))
        if known is None:
            names = ', '.join([*ARCHITECTURES, *LONG_NAMES])
            raise UserError(f"Hiera has no arch '{arch}'; take one of {names}, or a dict.")
        arch = known
    if set(arch) != {'embed_dim', 'num_heads', 'depths'}:
        raise UserError(
            f"An arch dict of Hiera needs exactly the keys 'embed_dim', 'num_heads' and 'depths', "
            f'but this one has {sorted(arch)}.'
        )
    depths = tuple(arch['depths'])
    if len(depths) != 4 or min(depths) < 1:
        raise UserError(f"Hiera has four stages of at least one block, but arch says 'depths' = {depths}.")
    if arch['embed_dim'] % arch['num_heads']:
        raise UserError(
            f"Hiera's 'embed_dim' {arch['embed_dim']} can't be divided among {arch['num_heads']} heads; "
            f"choose 'num_heads' so that it divides 'embed_dim'."
        )
    return arch['embed_dim'], arch['num_heads'], depths


def _make_blocks(embed_dim: int, num_heads: int, depths: Sequence[int], drop_path_rate: float) -> nn.ModuleList:
    total = sum(depths)
    blocks = nn.ModuleList()
    for stage, depth in enumerate(depths):
        for position in range(depth):
            first = position == 0
            attention_stage = stage - 1 if first and stage else stage
            width = embed_dim * 2**stage
            blocks.append(
                Block(
                    dim=width // 2 if first and stage else width,
                    dim_out=width,
                    heads=num_heads * 2**stage,
                    inside_units=attention_stage < 2,
                    drop_path=drop_path_rate * len(blocks) / max(total - 1, 1),
                )
            )
    return blocks


def _check_range(key: str, values: Sequence[int], lowest: int, highest: int) -> None:
    if any(not lowest <= value <= highest for value in values):
        raise UserError(f"Hiera's '{key}' must lie between {lowest} and {highest}, but is {values}.")


def _init_as_published(module: nn.Module) -> None:
    """The official code's start: truncated normal weights, and biases of 0.02 instead of 0."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.trunc_normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear | nn.LayerNorm):
        nn.init.constant_(module.bias, 0.02)
