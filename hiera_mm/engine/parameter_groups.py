"""One group of an optimizer for all parameters with the same settings.

mmengine makes a group of each parameter. A fused or for-each optimizer then launches its kernels once for each
parameter, and optimizer and schedules loop over hundreds of groups of which few differ.
"""

from collections.abc import Sequence

import torch.nn as nn
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS

ALREADY_APPLIED = ('lr_mult', 'decay_mult')
"""Kept by mmengine in the groups of ``custom_keys``, where they are already in ``lr`` and ``weight_decay``."""


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """mmengine's default constructor with one group for each setting instead of one for each parameter."""

    def add_params(
        self, params: list[dict], module: nn.Module, prefix: str = '', is_dcn_module: int | float | None = None
    ) -> None:
        """Append the groups of the parameters of ``module``, at the top (no ``prefix``) the whole model."""
        super().add_params(params, module, prefix, is_dcn_module)
        if not prefix:
            params[:] = merge_equal(params, lr=self.base_lr, weight_decay=self.base_wd)


def merge_equal(groups: Sequence[dict], **defaults: float | None) -> list[dict]:
    """Groups with the same settings as one, in the order of their first parameters.

    Args:
        groups: As an optimizer takes them.
        defaults: Of the optimizer, which settings that are missing have; None if it isn't known.
    """
    merged: list[tuple[dict, list]] = []
    known = {name: value for name, value in defaults.items() if value is not None}
    for group in groups:
        settings = {name: value for name, value in group.items() if name not in ('params', *ALREADY_APPLIED)}
        settings = known | settings
        same = next((members for others, members in merged if others == settings), None)
        if same is None:
            merged.append((settings, list(group['params'])))
        else:
            same += group['params']
    return [dict(settings, params=members) for settings, members in merged]


def regroup(saved: dict, schedules: Sequence[dict], groups: Sequence[dict], order: Sequence[nn.Parameter]) -> bool:
    """Make the state of an optimizer that had a group for each parameter that of one with merged groups, in place.

    Args:
        saved: State of the optimizer.
        schedules: States of the schedules of its rates.
        groups: Those of the optimizer that is to have the state.
        order: All parameters in the order of the model, which is that of the saved groups.

    Returns:
        Whether it was such a state and is changed.
    """
    numbers = {parameter: number for number, parameter in enumerate(_trained(order, groups))}
    before = saved.get('param_groups', [])
    if len(before) != len(numbers) or len(before) == len(groups) or any(len(group['params']) != 1 for group in before):
        return False
    members = [[numbers[parameter] for parameter in group['params']] for group in groups]
    if any(_settings(before[number]) != _settings(before[some[0]]) for some in members for number in some):
        return False
    state = [saved['state'].get(before[number]['params'][0]) for some in members for number in some]
    saved['state'] = {number: each for number, each in enumerate(state) if each is not None}
    first = 0
    saved['param_groups'] = []
    for some in members:
        settings = _settings(before[some[0]])
        saved['param_groups'].append(dict(settings, params=list(range(first, first + len(some)))))
        first += len(some)
    for schedule in schedules:
        for key in ('base_values', '_last_value'):
            if len(schedule.get(key) or ()) >= len(before):
                values = schedule[key]
                # Behind those of the groups stands the one of mmengine's settings for the log.
                schedule[key] = [*(values[some[0]] for some in members), *values[len(before) :]]
    return True


def _trained(order: Sequence[nn.Parameter], groups: Sequence[dict]) -> list[nn.Parameter]:
    trained = {parameter for group in groups for parameter in group['params']}
    return [parameter for parameter in order if parameter in trained]


def _settings(group: dict) -> dict:
    return {name: value for name, value in group.items() if name not in ('params', 'param_name', *ALREADY_APPLIED)}
