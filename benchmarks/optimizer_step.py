"""What groups cost a step of the optimizer and its schedules: ``python -m benchmarks.optimizer_step k400_hiera_l``.

The config's own optimizer with one group for each parameter, as mmengine makes them, and with one for each setting, in
each of torch's three ways (one parameter after the other, all of a group in one call, all of a group fused).
"""

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import hiera_mm  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.commands.faults import as_sentences
from hiera_mm.commands.options import add_common_options, add_config_argument, read_config
from hiera_mm.config import in_scope

import torch
import torch.nn as nn
from mmengine.config import Config
from mmengine.optim import MultiStepLR, build_optim_wrapper
from mmengine.registry import MODELS

from benchmarks.measure import seconds
from benchmarks.report import parser_of, write

WAYS = {
    'one after the other': dict(fused=False, foreach=False),
    'for each': dict(fused=False, foreach=True),
    'fused': dict(fused=True),
}


def main() -> None:
    arguments = parse_arguments()
    config = read_config(arguments)
    config.model.backbone.init_cfg = None
    with in_scope(config):
        model = MODELS.build(config.model).to(arguments.device)
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 1e-3)
    rows = []
    for way, settings in WAYS.items():
        runs = {
            groups: _step_of(model, config, settings, apart=groups == 'a parameter')
            for groups in ('a parameter', 'a setting')
        }
        times: dict[str, list[float]] = {groups: [] for groups in runs}
        for _ in range(arguments.repeats + 1):
            for groups, run in runs.items():
                times[groups].append(seconds(run, arguments.device))
        for groups, each in times.items():
            rows.append(dict(way=way, a_group_for=groups, seconds=round(statistics.median(each[1:]), 4)))
            print(f'{way:22}a group for {groups:14}{rows[-1]["seconds"]:10.4f} s')
    if arguments.out:
        write(arguments.out, rows, title=f'Step of the optimizer of {Path(arguments.config).stem}')


def _step_of(model: nn.Module, config: Config, settings: dict, apart: bool) -> Callable[[], None]:
    wrapper = dict(config.optim_wrapper, type='OptimWrapper', clip_grad=None)
    wrapper['optimizer'] = {**wrapper['optimizer'], **settings}
    optimizer = build_optim_wrapper(model, wrapper).optimizer
    if apart:
        optimizer.param_groups[:] = [
            dict(group, params=[parameter]) for group in optimizer.param_groups for parameter in group['params']
        ]
    schedule = MultiStepLR(optimizer, milestones=[10**9], by_epoch=False)

    def step() -> None:
        optimizer.step()
        schedule.step()

    return step


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    add_config_argument(parser)
    parser.add_argument('--repeats', type=int, default=9, help='steps that count (%(default)s)')
    parser.add_argument('--device', default='cpu', help='(%(default)s)')
    add_common_options(parser)
    return parser.parse_args()


if __name__ == '__main__':
    with as_sentences():
        main()
