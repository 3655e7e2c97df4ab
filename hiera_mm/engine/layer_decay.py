"""Layer-wise learning-rate decay for any backbone that reports the depth of its parameters."""

from hiera_mm.engine.parameter_groups import merge_equal
from hiera_mm.errors import UserError

import torch.nn as nn
from mmengine.model import BaseModule
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

OPTIONAL_FACTORS = ('head_lr_mult', 'head_decay_mult', 'pos_embed_lr_mult')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DepthLayerDecayConstructor(DefaultOptimWrapperConstructor):
    """Learning rate ``lr * layer_decay_rate ** (layers - 1 - depth)``, by the backbone's own depths.

    The backbone is the part of the model with ``get_layer_depth(param_name, prefix)``, mmpretrain's contract
    (:meth:`hiera_mm.models.hiera.Hiera.get_layer_depth`); neck and heads have the greatest depth and so the
    full rate. Biases, one-dimensional parameters and the names that the backbone's ``no_weight_decay()`` gives
    (if it has one) take no weight decay. The rule is that of BEiT (arXiv 2106.08254), as in MAE fine-tuning.

    ``paramwise_cfg`` takes:
        layer_decay_rate (float): Factor from one layer to the next shallower one, over 0 and up to 1.
        head_lr_mult (float): Factor on the learning rate of everything but the backbone (SegFormer's published configs:
            10); 1 by default.
        head_decay_mult (float): Factor on the weight decay of everything but the backbone (arXiv 2106.04560, section
            3.1, decays the head far more than the rest); 1 by default.
        pos_embed_lr_mult (float): The position tables' learning rate over ``lr``, instead of the layer rule (Hiera,
            appendix A.2, at 448 pixels); without it they follow the rule.

    Raises:
        UserError: for another key, a value out of range, or a model without such a backbone.
    """

    def _validate_cfg(self) -> None:
        unknown = set(self.paramwise_cfg) - {'layer_decay_rate', *OPTIONAL_FACTORS}
        if unknown or 'layer_decay_rate' not in self.paramwise_cfg:
            raise UserError(
                f'{type(self).__name__} needs paramwise_cfg = dict(layer_decay_rate=...), and optionally takes '
                f'{" and ".join(OPTIONAL_FACTORS)}, but has the keys {sorted(self.paramwise_cfg)}.'
            )
        if not 0 < self.paramwise_cfg['layer_decay_rate'] <= 1:
            raise UserError(
                f"'layer_decay_rate' must be over 0 and at most 1, but is {self.paramwise_cfg['layer_decay_rate']}."
            )
        for key in OPTIONAL_FACTORS:
            if self.paramwise_cfg.get(key, 1.0) < 0:
                raise UserError(f"'{key}' must not be negative, but is {self.paramwise_cfg[key]}.")
        if 'head_decay_mult' in self.paramwise_cfg and self.base_wd is None:
            raise UserError("'head_decay_mult' multiplies the optimizer's weight_decay, which is not set; set it.")

    def add_params(self, params: list[dict], module: nn.Module, **kwargs) -> None:
        """Append one group of ``params`` for each setting of the trained parameters of ``module``, the whole model."""
        prefix, backbone = _find_backbone(module)
        names = backbone.no_weight_decay() if hasattr(backbone, 'no_weight_decay') else ()
        undecayed = {prefix + name for name in names}
        single = []
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            depth, layers = backbone.get_layer_depth(name, prefix)
            scale = self.paramwise_cfg['layer_decay_rate'] ** (layers - 1 - depth)
            head = not name.startswith(prefix)
            if head:
                scale *= self.paramwise_cfg.get('head_lr_mult', 1.0)
            if name.startswith(f'{prefix}pos_embed'):
                scale = self.paramwise_cfg.get('pos_embed_lr_mult', scale)
            group = dict(params=[parameter], lr=self.base_lr * scale)
            if name in undecayed or parameter.ndim <= 1:
                group['weight_decay'] = 0.0
            elif self.base_wd is not None:
                group['weight_decay'] = self.base_wd * (self.paramwise_cfg.get('head_decay_mult', 1.0) if head else 1.0)
            single.append(group)
        params += merge_equal(single)


def _find_backbone(model: nn.Module) -> tuple[str, BaseModule]:
    for name, module in model.named_modules():
        if hasattr(module, 'get_layer_depth'):
            return f'{name}.' if name else '', module
    raise UserError(
        f'DepthLayerDecayConstructor finds no backbone in {type(model).__name__} that has get_layer_depth(); '
        f'use Hiera, or take optim_wrapper.constructor out of the config.'
    )
