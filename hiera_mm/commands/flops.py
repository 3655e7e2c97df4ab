"""Count the parameters and multiply-accumulates of a model."""

import argparse

from hiera_mm.commands.options import add_common_options, add_config_argument, read_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)
    parser.add_argument(
        '--shape',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='image or frame in pixels (default: 1024 1024, clips 224 224)',
    )
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.tasks import task_of
    from hiera_mm.tasks.detection.forward_pass import REGIONS

    from mmengine.registry import init_default_scope
    from rich.console import Console
    from rich.table import Table

    config = read_config(arguments)
    init_default_scope(config.default_scope)
    parts, (height, width) = task_of(config).complexity(config.model, arguments.shape)
    parts['total'] = tuple(sum(column) for column in zip(*parts.values(), strict=True))
    table = Table(title=f'{arguments.config}, one input of {height} x {width} pixels')
    for heading in ('part', 'parameters (M)', 'multiply-accumulates (G)'):
        table.add_column(heading, justify='left' if heading == 'part' else 'right')
    for part, (parameters, macs) in parts.items():
        regions = f' ({REGIONS[part]} regions)' if part in REGIONS else ''
        table.add_row(part + regions, f'{parameters / 1e6:.2f}', f'{macs / 1e9:.1f}')
    Console().print(table)
