"""Parameters and multiply-accumulates of a model: ``python tools/get_flops.py configs/mask_rcnn_hiera_b.py``."""

import argparse
from collections.abc import Sequence

import hiera_mm  # noqa: F401  (first: it mends what the imports below need)
from hiera_mm.cli import add_common_options, faults_as_sentences, read_config
from hiera_mm.complexity import (
    REGIONS,
    action_detector_complexity,
    autoencoder_complexity,
    detector_complexity,
    recogniser_complexity,
)
from hiera_mm.errors import UserError

from mmengine.config import ConfigDict
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--shape',
        nargs=2,
        type=int,
        metavar=('H', 'W'),
        help='image or frame in pixels (default: 1024 1024, clips 224 224)',
    )
    add_common_options(parser)
    arguments = parser.parse_args()
    config = read_config(arguments)
    init_default_scope(config.default_scope)

    parts, (height, width) = parts_of(config.model, arguments.shape)
    parts['total'] = tuple(sum(column) for column in zip(*parts.values(), strict=True))
    table = Table(title=f'{arguments.config}, one input of {height} x {width} pixels')
    for heading in ('part', 'parameters (M)', 'multiply-accumulates (G)'):
        table.add_column(heading, justify='left' if heading == 'part' else 'right')
    for part, (parameters, macs) in parts.items():
        regions = f' ({REGIONS[part]} regions)' if part in REGIONS else ''
        table.add_row(part + regions, f'{parameters / 1e6:.2f}', f'{macs / 1e9:.1f}')
    Console().print(table)


def parts_of(model: ConfigDict, shape: list[int] | None) -> tuple[dict[str, tuple[int, int]], Sequence[int]]:
    """Parameters and operations of each part, and the size of the input."""
    if 'input_size' in model:
        if shape:
            raise UserError("A masked autoencoder's size is its input_size; set model.input_size instead of --shape.")
        return autoencoder_complexity(model), model.input_size[-2:]
    if 'neck' in model:
        shape = shape or (1024, 1024)
        return detector_complexity(model, *shape), shape
    shape = shape or (224, 224)
    count = action_detector_complexity if 'roi_head' in model else recogniser_complexity
    return count(model, *shape), shape


if __name__ == '__main__':
    with faults_as_sentences():
        main()
