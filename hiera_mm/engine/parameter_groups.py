"""Puts all parameters with the same settings into one group of the optimizer.

mmengine makes a group for each parameter. A fused or for-each optimizer then launches its kernels once per parameter,
and optimizer and schedules loop over hundreds of groups, most of them equal.
"""

from collections.abc import Sequence

import torch.nn as nn
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

APPLIED_FACTORS = ('lr_mult', 'decay_mult')
"""Factors that mmengine keeps in groups of ``custom_keys``; ``lr`` and ``weight_decay`` already include them."""


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's default constructor with one group for each combination of settings instead of one for each
    parameter."""

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module: int | float | None = None
    ) -> None:
        """Append the parameter groups of ``module``; without ``prefix`` it is the whole model."""
        super().add_params(params, module, prefix, is_dcn_module)
        if not prefix:
            params[:] = merge_equal(params, lr=self.base_lr, weight_decay=self.base_wd)


def merge_equal(groups: Sequence[dict], **defaults: float | None) -> list[dict]:
    """Merge groups with the same settings, in the order of their first parameters.

    Args:
        groups: Groups as an optimizer takes them.
        defaults: The optimizer's values for missing settings; None if unknown.
    """
    merged: list[tuple[dict, list]] = []
    known = {name: value for name, value in defaults.items() if value is not None}
    for group in groups:
        settings = {name: value for name, value in group.items() if name not in ('params', *APPLIED_FACTORS)}
        settings = known | settings
        same = next((members for others, members in merged if others == settings), None)
        if same is None:
            merged.append((settings, list(group['params'])))
        else:
            same += group['params']
    return [dict(settings, params=members) for settings, members in merged]


def regroup(saved: dict, schedules: Sequence[dict], groups: Sequence[dict], order: Sequence[nn.Parameter]) -> bool:
    """Convert the state of an optimizer with a group for each parameter to merged groups, in place.

    Args:
        saved: State of the optimizer.
        schedules: States of the learning-rate schedules.
        groups: Groups of the optimizer that loads the state.
        order: All parameters in the order of the model, which the saved groups have too.

    Returns:
        Whether the state had a group for each parameter and was converted.
    """
    numbers = {parameter: number for number, parameter in enumerate(_trained(order, groups))}
    before = saved.get('param_groups', [])
    if len(before) != len(numbers) or len(before) == len(groups) or any(len(group['params']) != 1 for group in before):
        return False
    members = [[numbers[parameter] for parameter in group['params']] for group in groups]
    if any(_settings(before[number]) != _settings(before[indices[0]]) for indices in members for number in indices):
        return False
    state = [saved['state'].get(before[number]['params'][0]) for indices in members for number in indices]
    saved['state'] = {number: each for number, each in enumerate(state) if each is not None}
    first = 0
    saved['param_groups'] = []
    for indices in members:
        settings = _settings(before[indices[0]])
        saved['param_groups'].append(dict(settings, params=list(range(first, first + len(indices)))))
        first += len(indices)
    for schedule in schedules:
        for key in ('base_values', '_last_value'):
            if len(schedule.get(key) or ()) >= len(before):
                values = schedule[key]
                # The last value belongs to the settings that mmengine logs.
                schedule[key] = [*(values[indices[0]] for indices in members), *values[len(before) :]]
    return True


def _trained(order: Sequence[nn.Parameter], groups: Sequence[dict]) -> list[nn.Parameter]:
    trained = {parameter for group in groups for parameter in group['params']}
    return [parameter for parameter in order if parameter in trained]


def _settings(group: dict) -> dict:
    return {name: value for name, value in group.items() if name not in ('params', 'param_name', *APPLIED_FACTORS)}
