"""What exporting gives: ``python -m benchmarks.exported MODEL PICTURE``, or ``... NAME --backbone --size 1024 1024``.

The model in PyTorch, with and without bfloat16, against its files in ONNX Runtime, OpenVINO and torch.export, in turns,
each on one picture from array to result (a backbone: from pixels to maps). Times are medians, ratios are to PyTorch in
float32.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import hiera_mm  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.commands.faults import as_sentences
from hiera_mm.inference import backbone, load
from hiera_mm.inference.export import export
from hiera_mm.inference.exported import ENDINGS, open_exported
from hiera_mm.models import Hiera

import numpy as np
import torch
from PIL import Image

from benchmarks.measure import seconds
from benchmarks.report import parser_of, write


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    with TemporaryDirectory() as folder:
        runs = (of_backbone if arguments.backbone else of_model)(arguments, Path(folder))
        first = {name: seconds(run, 'cpu') for name, run in runs.items()}
        times: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(arguments.repeats):
            for name, run in runs.items():
                times[name].append(seconds(run, 'cpu'))
    medians = {name: statistics.median(found) for name, found in times.items()}
    rows: list[dict[str, object]] = [
        dict(
            runtime=name,
            median_s=round(median, 5),
            fastest_s=round(min(times[name]), 5),
            slowest_s=round(max(times[name]), 5),
            speed=round(medians['PyTorch'] / median, 3),
            first_run_s=round(first[name], 3),
            threads=torch.get_num_threads(),
        )
        for name, median in medians.items()
    ]
    for row in rows:
        print('{runtime:20} {median_s:9.4f} s ({fastest_s:.4f} to {slowest_s:.4f})  {speed:6.2f} x'.format(**row))
    if arguments.out:
        write(arguments.out, rows, f'{arguments.model}, exported')


def of_model(arguments: argparse.Namespace, folder: Path) -> dict[str, Callable]:
    picture = np.array(Image.open(arguments.picture).convert('RGB'))
    model = load(arguments.model, device='cpu')
    runs: dict[str, Callable] = {'PyTorch': partial(model.predict, picture)}
    runs['PyTorch, bfloat16'] = in_bfloat16(runs['PyTorch'])
    for ending, kind in ENDINGS.items():
        export(model, folder / f'model{ending}', arguments.size)
        runs[kind.runtime] = partial(load(str(folder / f'model{ending}')).predict, picture)
    return runs


def of_backbone(arguments: argparse.Namespace, folder: Path) -> dict[str, Callable]:
    # A size alone has random weights, which are as fast.
    model = Hiera(arguments.model).eval() if arguments.model in ARCHITECTURES else backbone(arguments.model)
    pixels = torch.randn(arguments.batch_size, 3, *(arguments.size or (224, 224)))
    runs: dict[str, Callable] = {'PyTorch': torch.no_grad()(partial(model, pixels))}
    runs['PyTorch, bfloat16'] = in_bfloat16(runs['PyTorch'])
    for ending, kind in ENDINGS.items():
        export(model, folder / f'model{ending}', arguments.size)
        runs[kind.runtime] = partial(open_exported(str(folder / f'model{ending}')).session, pixels=pixels.numpy())
    return runs


def in_bfloat16(run: Callable) -> Callable:
    return torch.autocast('cpu', torch.bfloat16)(run)


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument('model', help='as for hiera-mm export; with --backbone also a size such as b')
    parser.add_argument('picture', nargs='?', help='that a whole model gets')
    parser.add_argument('--backbone', action='store_true', help='the backbone alone')
    parser.add_argument('--size', type=int, nargs=2, help='height and width of the input')
    parser.add_argument('--repeats', type=int, default=5, help='runs that count (%(default)s)')
    parser.add_argument('--threads', type=int, help="(default: torch's own choice)")
    parser.add_argument('--batch-size', type=int, default=1, help='of a backbone (%(default)s)')
    return parser.parse_args()


if __name__ == '__main__':
    with as_sentences():
        main()
