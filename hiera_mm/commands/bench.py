"""Measure how fast a trained model is on this machine in each format, with its accuracy beside it.

hiera-mm bench work_dirs/my_config
hiera-mm bench my_model photos --formats pytorch onnx openvino

Times are those of whole predictions, from a file to the result, one input at a time; the formats take turns. Exported
files run on the processor. Without INPUT the inputs are those of the test set, and each format is tested on it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from hiera_mm.atomic_write import atomic_write
from hiera_mm.commands.options import add_newest_option, add_trust_option, add_verbose_option, chosen_checkpoint
from hiera_mm.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hiera_mm.inference.bench import Measured

NAMES = ('pytorch', 'half', 'compiled', 'onnx', 'openvino', 'onnx-int8', 'openvino-int8')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('model', help="checkpoint, folder of a run, or what 'hiera-mm publish' wrote")
    parser.add_argument('inputs', nargs='*', metavar='INPUT', help='files or folders (default: the test set)')
    parser.add_argument('--formats', nargs='+', choices=NAMES, default=list(NAMES), help='formats (default: all)')
    parser.add_argument('--count', type=int, default=20, help='inputs to predict for (%(default)s)')
    parser.add_argument('--out-dir', type=Path, default='bench', help='folder for the results (%(default)s)')
    parser.add_argument('--device', help='for PyTorch, such as cuda:0 or cpu (default: a GPU if there is one)')
    add_newest_option(parser)
    add_trust_option(parser)
    add_verbose_option(parser)


def run(arguments: argparse.Namespace) -> int:
    from hiera_mm.engine.console import console
    from hiera_mm.inference.bench import bench, files_of
    from hiera_mm.inference.page_results import page_kinds
    from hiera_mm.readers.inputs import find_inputs
    from hiera_mm.tasks import load

    if arguments.count < 1:
        raise UserError(f'--count must be at least 1, but is {arguments.count}.')
    source = chosen_checkpoint(arguments.model, arguments.newest)
    predictor = load(source, device='cpu', trust=arguments.trust)
    scored = not arguments.inputs
    if scored:
        inputs = files_of(predictor.trained.config, 'test', arguments.count)
    else:
        inputs = [entry.source for entry in find_inputs(arguments.inputs, page_kinds(predictor))][: arguments.count]
    if not inputs:
        raise UserError(f"The test set of '{arguments.model}' is not here; name images or videos to predict for.")
    if predictor.trained.task.needs_persons:
        raise UserError(f'{predictor.trained.task.name.capitalize()} need persons as well, so they are not measured.')
    with console(arguments.verbose):
        found = bench(
            load,
            predictor,
            source,
            arguments.formats,
            inputs,
            arguments.device,
            arguments.trust,
            scored,
            lambda words: print(words, flush=True),
        )
    _print_table(found, len(inputs))
    if not any(measured.seconds for measured in found):
        return 1
    arguments.out_dir.mkdir(parents=True, exist_ok=True)
    with atomic_write(arguments.out_dir / 'bench.json') as path:
        path.write_text(json.dumps([_as_json(measured) for measured in found], indent=1), encoding='utf-8')
    _draw([measured for measured in found if measured.seconds], arguments.out_dir / 'bench.png')
    print(f'The table is in {arguments.out_dir}/bench.json, the chart in {arguments.out_dir}/bench.png.')
    return 0


def _metric(found: Sequence[Measured]) -> str | None:
    """The metric to show: the first of the first format that was tested."""
    return next((name for measured in found for name in measured.metrics), None)


def _print_table(found: Sequence[Measured], count: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    metric, first = _metric(found), next((measured for measured in found if measured.seconds), None)
    table = Table(title=f'{count} inputs, one at a time', box=SIMPLE_HEAD)
    table.add_column('format')
    for heading in ('a second', 'times the first', *([metric] if metric else []), 'MiB'):
        table.add_column(heading, justify='right')
    for measured in found:
        if not measured.seconds or first is None:
            continue
        cells = [f'{measured.per_second:.3g}', f'{measured.per_second / first.per_second:.2f}']
        if metric:
            value = measured.metrics.get(metric)
            cells.append('' if value is None else f'{float(value):.4f}')
        table.add_row(measured.name, *cells, f'{measured.size / 2**20:.1f}' if measured.size else '')
    Console(highlight=False).print(table)


def _as_json(measured: Measured) -> dict:
    speed = measured.per_second if measured.seconds else None
    metrics = {name: float(value) for name, value in measured.metrics.items()}
    return dict(
        format=measured.name,
        per_second=speed,
        seconds=measured.seconds,
        metrics=metrics,
        bytes=measured.size,
        fault=measured.fault,
    )


def _words(metric: str | None, measured: Measured) -> str:
    if metric is None or metric not in measured.metrics:
        return ''
    return f' ({metric} {float(measured.metrics[metric]):.3f})'


def _draw(found: Sequence[Measured], path: Path) -> None:
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    metric = _metric(found)
    figure, axes = plt.subplots(figsize=(7, 0.5 * len(found) + 1.2), layout='constrained')
    bars = axes.barh([measured.name for measured in found], [measured.per_second for measured in found])
    texts = [f'{measured.per_second:.3g}{_words(metric, measured)}' for measured in found]
    axes.bar_label(bars, texts, padding=4)
    axes.set_xlim(0, max(measured.per_second for measured in found) * 1.6)
    axes.invert_yaxis()
    axes.set_xlabel('inputs a second')
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished, format='png')
    plt.close(figure)
