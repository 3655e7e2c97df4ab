"""Low-rank updates of a backbone whose own weights stay as pre-trained (LoRA, arXiv 2106.09685), with peft."""

from collections.abc import Mapping
from typing import Any

from hiera_mm.errors import UserError, require_extra

import torch.nn as nn
from torch import Tensor

ATTENTION_LAYERS = r'.*\.attn\.(qkv|proj)'
"""Pattern of the layers that the paper adapts (section 4.2), those of the attention."""


def add_lora(backbone: nn.Module, settings: Mapping[str, Any]) -> None:
    """Freeze a backbone and add low-rank updates to its attention, in place.

    The backbone's own weights keep their names in files, so that published weights load as they do without updates.

    Args:
        backbone: A module with linear layers that match ``target_modules``.
        settings: Arguments of peft's ``LoraConfig``: ``r`` (8 by default), ``lora_alpha``, ``lora_dropout``,
            ``target_modules`` (a pattern or a list of names; the attention's layers by default) and others.

    Raises:
        UserError: without peft, or for settings that it refuses.
    """
    require_extra('peft', 'lora')
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    try:
        inject_adapter_in_model(LoraConfig(**{'target_modules': ATTENTION_LAYERS, **settings}), backbone)
    except (TypeError, ValueError) as error:
        raise UserError(f'peft refuses model.backbone.lora = {dict(settings)}: {error}') from error
    for name, parameter in backbone.named_parameters():
        # No weights are published for these norms.
        parameter.requires_grad |= name.startswith('out_norms.')
    for module in backbone.modules():
        if isinstance(module, BaseTunerLayer):
            module.register_state_dict_post_hook(_leave_out_base_layer)
            module.register_load_state_dict_pre_hook(_put_in_base_layer)


def merge_lora(model: nn.Module) -> None:
    """Add the updates to the weights, in place, and put the original layers back."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    updated = {name: module for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)}
    for name, module in updated.items():
        module.merge()
        parent, _, own = name.rpartition('.')
        setattr(model.get_submodule(parent), own, module.get_base_layer())


def _leave_out_base_layer(module: nn.Module, state: dict[str, Tensor], prefix: str, _: object) -> None:
    for key in [key for key in state if key.startswith(f'{prefix}base_layer.')]:
        state[key.replace('base_layer.', '')] = state.pop(key)


def _put_in_base_layer(module: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    for name, _parameter in module.get_submodule('base_layer').named_parameters():
        if prefix + name in state:
            state[f'{prefix}base_layer.{name}'] = state.pop(prefix + name)
