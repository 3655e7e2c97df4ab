"""Layer-wise learning-rate decay for any backbone that tells the depth of its parameters."""

from hiera_mm.errors import UserError

import torch.nn as nn
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DepthLayerDecayConstructor(DefaultOptimWrapperConstructor):
    """Learning rate ``lr * layer_decay_rate ** (layers - 1 - depth)``, by the backbone's own depths.

    The backbone is the part of the model with ``get_layer_depth(param_name, prefix)``, mmpretrain's contract
    (:meth:`hiera_mm.models.hiera.Hiera.get_layer_depth`); neck and heads have the greatest depth and so the
    full rate. Biases, one-dimensional parameters and the names that the backbone's ``no_weight_decay()`` gives
    (if it has one) take no weight decay. The rule is that of BEiT (arXiv 2106.08254), as in MAE fine-tuning.

    ``paramwise_cfg`` takes one key:
        layer_decay_rate (float): Factor from one layer to the next shallower one, over 0 and up to 1.

    Raises:
        UserError: for another key, a rate out of range, or a model without such a backbone.
    """

    def _validate_cfg(self) -> None:
        if set(self.paramwise_cfg) != {'layer_decay_rate'}:
            raise UserError(
                f'{type(self).__name__} needs paramwise_cfg = dict(layer_decay_rate=...), but has the keys '
                f'{sorted(self.paramwise_cfg)}.'
            )
        if not 0 < self.paramwise_cfg['layer_decay_rate'] <= 1:
            raise UserError(
                f"'layer_decay_rate' must be over 0 and at most 1, but is {self.paramwise_cfg['layer_decay_rate']}."
            )

    def add_params(self, params: list[dict], module: nn.Module, **kwargs) -> None:
        """Append one group of ``params`` for each trained parameter of ``module``, the whole model."""
        prefix, backbone = _backbone_of(module)
        names = backbone.no_weight_decay() if hasattr(backbone, 'no_weight_decay') else ()
        undecayed = {prefix + name for name in names}
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            depth, layers = backbone.get_layer_depth(name, prefix)
            scale = self.paramwise_cfg['layer_decay_rate'] ** (layers - 1 - depth)
            exempt = name in undecayed or parameter.ndim <= 1
            group = dict(params=[parameter], param_name=name, lr=self.base_lr * scale)
            if exempt:
                group['weight_decay'] = 0.0
            elif self.base_wd is not None:
                group['weight_decay'] = self.base_wd
            params.append(group)


def _backbone_of(model: nn.Module) -> tuple[str, nn.Module]:
    for name, module in model.named_modules():
        if hasattr(module, 'get_layer_depth'):
            return f'{name}.' if name else '', module
    raise UserError(
        f'DepthLayerDecayConstructor finds no backbone in {type(model).__name__} that has get_layer_depth(); '
        f'use Hiera, or take optim_wrapper.constructor out of the config.'
    )
