"""Half precision in few kernel launches.

Autocast casts every weight anew in each forward pass, and every activation after a norm: 295 of the 551 launches of
Hiera-B (``benchmarks/launches.py``). Here all weights are cast in one launch and, for predictions in bfloat16, the
whole backbone computes as if it had been built in it: the residual stream is in bfloat16 too, and norms have no casts
(they add up in float32 all the same). float16 overflows at 65504, and in training the gradients of the position tables,
which are small sums of large numbers, would be off by half, so there the stream stays in float32.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from hiera_mm.models.cpu import is_transforming

import torch
import torch.nn as nn
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn.modules.conv import _ConvNd

HALVED = (nn.Linear, _ConvNd)
"""Modules that autocast computes in half precision, with weights that it would cast anew in each run."""


def in_half_precision(module: nn.Module, method: Callable[..., Any], pixels: Tensor, *more: Any) -> Any:
    """``method(pixels, *more)`` of a module, with few launches where autocast is on. Predictions in bfloat16 give such
    maps.

    Compiled, traced and exported programs, transformations of ``torch.func``, and sharded weights are left to autocast.
    """
    kind = pixels.device.type
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing() or is_transforming()
    if not is_autocast(pixels) or traced:
        return method(pixels, *more)
    dtype = torch.get_autocast_dtype(kind)
    whole = dtype == torch.bfloat16 and not torch.is_grad_enabled()
    names = _names_to_cast(module, whole)
    if not names:
        return method(pixels, *more)
    parameters = dict(module.named_parameters())
    if any(isinstance(parameters[name], DTensor) for name in names):
        return method(pixels, *more)
    weights = _cast_weights({name: parameters[name] for name in names}, dtype)
    with torch.autocast(kind, enabled=not whole):
        given = pixels.to(dtype) if whole else pixels
        return _call(module, weights, method, given, *more)


def halve(model: nn.Module) -> None:
    """Cast the weights of linear layers and convolutions once, as autocast would in each run. Everything else, such as
    norms, positions and boxes, stays in float32."""
    for module in model.modules():
        if isinstance(module, HALVED):
            for name, weight in [*module.named_parameters(recurse=False)]:
                cast = weight.detach().to(half_dtype(weight.device))
                # Not by Module.to, which can't change the type of torch's fake tensors.
                setattr(module, name, nn.Parameter(cast, requires_grad=weight.requires_grad))


def half_dtype(device: torch.device) -> torch.dtype:
    """bfloat16; float16 on GPUs without it."""
    if device.type == 'cuda' and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


def _cast_weights(given: dict[str, nn.Parameter], dtype: torch.dtype) -> dict[str, Tensor]:
    """Weights in another type; frozen ones apart, as all that a function gives has a gradient if one of them has."""
    cast: dict[str, Tensor] = {}
    for trained in (True, False):
        own = {name: weight for name, weight in given.items() if weight.requires_grad == trained}
        cast |= zip(own, CastAll.apply(dtype, *own.values()), strict=True) if own else {}
    return cast


def is_autocast(tensor: Tensor) -> bool:
    """Whether autocast is on for the tensor's device."""
    kind = tensor.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def with_weights_of_now(module: nn.Module, run: Callable[..., Any]) -> Callable[..., Any]:
    """``run(module, ...)`` as a function that computes the same in the backward pass, when weights that were cast for
    one forward pass are no longer the module's."""
    every: dict[str, Tensor] = dict(module.named_parameters())
    cast = {name: weight for name, weight in every.items() if not isinstance(weight, nn.Parameter)}
    method = partial(run, module)
    return partial(_call, module, cast, method) if cast else method


def _call(module: nn.Module, weights: dict[str, Tensor], method: Callable[..., Any], *given: Any) -> Any:
    """A method of a module with some of its weights replaced for this call; hooks of the module don't run."""
    named = {f'module.{name}': weight for name, weight in weights.items()}
    return torch.func.functional_call(_Method(module, method), named, given)


class _Method(nn.Module):
    def __init__(self, module: nn.Module, method: Callable[..., Any]) -> None:
        super().__init__()
        self.module, self.method = module, method

    def forward(self, *given: Any) -> Any:
        return self.method(*given)


class CastAll(torch.autograd.Function):
    """Casts tensors to another type in one launch, and their gradients back in one."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.dtypes = [tensor.dtype for tensor in tensors]
        return _cast(tensors, [dtype] * len(tensors))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        known = [(place, gradient) for place, gradient in enumerate(gradients) if gradient is not None]
        cast = _cast([gradient for _, gradient in known], [ctx.dtypes[place] for place, _ in known])
        found: list[Tensor | None] = [None] * len(gradients)
        for (place, _), gradient in zip(known, cast, strict=True):
            found[place] = gradient
        return None, *found


def _cast(tensors: Any, dtypes: list[torch.dtype]) -> tuple[Tensor, ...]:
    made = [torch.empty_like(tensor, dtype=dtype) for tensor, dtype in zip(tensors, dtypes, strict=True)]
    if made:
        torch._foreach_copy_(made, list(tensors))
    return tuple(made)


def _names_to_cast(module: nn.Module, whole: bool) -> list[str]:
    """Names of the weights in float32 to cast: all but position tables, or for float16 those of linear layers and
    convolutions."""
    names = []
    for prefix, part in module.named_modules(remove_duplicate=True):
        if whole and part is not module or isinstance(part, HALVED):
            own = ((f'{prefix}.{name}' if prefix else name, p) for name, p in part.named_parameters(recurse=False))
            names += [name for name, parameter in own if parameter.dtype == torch.float32]
    return names
