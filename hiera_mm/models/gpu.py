"""Everything that saves a GPU launches and passes over memory, in one place; the model is correct without it.

The model calls :func:`add_in_units` and :func:`block_runner`. The faster code is used on a GPU, in eager mode, for
predictions in bfloat16. With gradients, in any other type, while compiling, tracing or transforming (``torch.func``),
and where modules have hooks or were replaced, the model runs as written.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from hiera_mm.models.cpu import is_as_written, is_replaceable, run_block
from hiera_mm.models.mask_units import UNIT_SIDE, Region, in_unit_order, int_shape, map_to_units, pooled_apart

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

RunBlock = Callable[[nn.Module, Tensor, Sequence[Region], Tensor | None], Tensor]
"""``run_block``, or what stands in for it."""

Layer = tuple[Tensor, Tensor]
"""Weight and bias of a linear layer."""

_own_kernels = False


@contextmanager
def own_kernels() -> Iterator[None]:
    """Compute narrow stages by :mod:`hiera_mm.models.gpu_kernels`, which ``python -m benchmarks.models kernels:b``
    measures."""
    global _own_kernels
    before, _own_kernels = _own_kernels, True
    try:
        yield
    finally:
        _own_kernels = before


def add_in_units(tokens: Tensor, positions: Tensor, regions: Sequence[Region]) -> Tensor:
    """``map_to_units(tokens + positions, regions)``, but in one launch a region where possible."""
    if not _can_speed_up(tokens):
        return map_to_units(tokens + positions, regions)
    lengths = [region.units for region in regions]
    batch, channels = int_shape(tokens)[:2]
    units = tokens.new_empty(batch, sum(lengths), UNIT_SIDE**2, channels)
    for part, region in zip(units.split(lengths, dim=1), regions, strict=True):
        one, other = in_unit_order(tokens, region), in_unit_order(positions, region)
        torch.add(one, other, out=part.view(one.shape))
    return units


def block_runner(blocks: Iterable[nn.Module], units: Tensor) -> RunBlock:
    """``run_block``, or what runs these blocks in fewer launches where possible."""
    if not _can_speed_up(units):
        return run_block
    layers: dict[Any, Layer | None] = {block: None for block in blocks if _has_plain_mlp(block)}
    return partial(_run, layers | _joined_layers(layers))


def _run(
    layers: Mapping[Any, Layer | None], block: Any, units: Tensor, regions: Sequence[Region], paths: Tensor | None
) -> Tensor:
    if paths is not None or block not in layers:
        return block(units, regions, paths)
    layer = layers[block]
    if layer is not None:
        attended = _attend(block, units, regions, *layer)
    elif _takes(block.norm1) and _can_split(block):
        attended = _attend_by_kernel(block, units, regions)
    else:
        attended = block.add_attention(units, regions)
    if _takes(block.norm2) and type(block.ls2) is nn.Identity:
        return _kernels().norm_mlp(attended.contiguous(), block.norm2, block.mlp)
    return attended + block.ls2(_mlp(block.mlp, block.norm2(attended)))


def _mlp(mlp: Any, x: Tensor) -> Tensor:
    """The MLP with its activation in the launch of its first layer, so that the widest rows are written once and not
    read in between.

    A GPU's library has there the approximation of GELU by tanh, which is off by at most 0.0005.
    """
    rows = torch._addmm_activation(mlp.fc1.bias, x.flatten(0, -2), mlp.fc1.weight.t(), use_gelu=True)
    return mlp.fc2(rows).view(x.shape)


def _joined_layers(blocks: Iterable[Any]) -> dict[Any, Layer]:
    """One linear layer for each block that pools, which gives the shortcut, queries, keys and values. All are copied in
    one launch.

    The bias of the attention's last layer, which no maximum depends on, is added to that of the shortcut.
    """
    joined, given, copies, sums, last = {}, [], [], [], []
    for block in blocks:
        if not _can_join(block):
            continue
        layers, width = (block.proj, block.attn.qkv), block.proj.out_features
        weight = block.proj.weight.new_empty(4 * width, block.proj.in_features)
        bias = block.proj.bias.new_empty(4 * width)
        joined[block] = weight, bias
        given += [layer.weight for layer in layers] + [layer.bias for layer in layers]
        copies += [part for whole in (weight, bias) for part in whole.split([width, 3 * width])]
        sums.append(bias[:width])
        last.append(block.attn.proj.bias)
    if joined:
        torch._foreach_copy_(copies, given)
        torch._foreach_add_(sums, last)
    return joined


def _attend(block: Any, units: Tensor, regions: Sequence[Region], weight: Tensor, bias: Tensor) -> Tensor:
    """``block.add_attention`` with a joined layer: shortcut and queries are pooled at once, and the attention's last
    layer adds to the shortcut in place."""
    width = block.proj.out_features
    pooled, k, v = _norm_linear(block.norm1, units, weight, bias).split([2 * width, width, width], dim=-1)
    shortcut, q = pooled_apart(pooled).unflatten(-1, (2, width)).movedim(-2, 0).amax(dim=3)
    mixed = block.attn.mix(q, k, v, regions)
    shortcut.view(-1, width).addmm_(mixed.reshape(-1, width), block.attn.proj.weight.t())
    return shortcut


def _attend_by_kernel(block: Any, units: Tensor, regions: Sequence[Region]) -> Tensor:
    """``block.add_attention`` of a block that neither pools nor widens."""
    layer = block.attn.qkv
    q, k, v = _norm_linear(block.norm1, units, layer.weight, layer.bias).chunk(3, dim=-1)
    return units + block.ls1(block.attn.proj(block.attn.mix(q, k, v, regions)))


def _norm_linear(norm: nn.LayerNorm, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    if _takes(norm):
        return _kernels().norm_linear(x.contiguous(), norm, weight, bias)
    return F.linear(norm(x), weight, bias)


def _takes(norm: nn.LayerNorm) -> bool:
    return _own_kernels and is_as_written([norm]) and _kernels().takes(norm)


def _kernels() -> Any:
    # Triton is only there where torch is built for GPUs.
    from hiera_mm.models import gpu_kernels

    return gpu_kernels


def _can_split(block: Any) -> bool:
    return not block.pools and not block.widens and _are_replaceable(block.attn, block.attn.qkv)


def _has_plain_mlp(block: Any) -> bool:
    return is_as_written([block]) and _are_replaceable(block.mlp, block.mlp.fc1, block.mlp.act)


def _can_join(block: Any) -> bool:
    if not block.pools or block.proj is None or type(block.ls1) is not nn.Identity:
        return False
    return _are_replaceable(block.attn, block.attn.qkv, block.attn.proj, block.proj)


def _are_replaceable(*modules: nn.Module) -> bool:
    """Whether nothing tells that these modules are not called; quantised and sharded weights have operations of their
    own."""
    weights = (weight for module in modules for weight in module._parameters.values())
    return is_as_written(modules) and not any(map(is_traceable_wrapper_subclass, weights))


def _can_speed_up(tensor: Tensor) -> bool:
    if tensor.device.type != 'cuda' or tensor.dtype != torch.bfloat16 or torch.is_grad_enabled():
        return False
    return is_replaceable() and not torch.is_autocast_enabled('cuda')
