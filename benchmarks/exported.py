"""What exporting gives: ``python -m benchmarks.exported MODEL PICTURE``, or ``... NAME --backbone --size 1024 1024``.

The model in PyTorch, plain, compiled and in bfloat16, against its files in ONNX Runtime, OpenVINO and torch.export, and
with --int8 against OpenVINO's in numbers of 8 bits, each on one input from array or file to result (a backbone: from
pixels to maps). They take turns of several runs, of which the first does not count: threads of the one before may still
be waiting for work. Times are medians, ratios are to PyTorch in float32.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hiera_mm  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.commands.faults import as_sentences
from hiera_mm.commands.options import read_names
from hiera_mm.inference.export import export, export_backbone
from hiera_mm.inference.formats import FORMATS, open_exported
from hiera_mm.inference.load_backbone import backbone
from hiera_mm.models import Hiera
from hiera_mm.readers.videos import open_video
from hiera_mm.tasks import load
from hiera_mm.tasks.actions import ActionDetector
from hiera_mm.tasks.detection import Detector

import numpy as np
import torch
from PIL import Image

from benchmarks.measure import seconds
from benchmarks.report import parser_of, write

RUNS_OF_A_TURN = 3


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
                times[name] += [seconds(run, 'cpu') for _ in range(1 + RUNS_OF_A_TURN)][1:]
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
    def prediction(model: Any) -> Callable:
        if isinstance(model, ActionDetector):
            return partial(model.predict, arguments.picture, boxes=a_person(arguments.picture))
        if isinstance(model, Detector) or model.takes_images:
            return partial(model.predict, np.array(Image.open(arguments.picture).convert('RGB')))
        return partial(model.predict, arguments.picture)

    names = read_names(arguments.classes)
    model: Any = load(arguments.model, device='cpu', classes=names)
    compiled: Any = load(arguments.model, device='cpu', classes=names)
    compiled.trained.model.backbone.compile(dynamic=False)
    runs: dict[str, Callable] = {'PyTorch': prediction(model)}
    runs['PyTorch, backbone compiled'] = prediction(compiled)
    runs['PyTorch, bfloat16'] = in_bfloat16(runs['PyTorch'])
    return runs | {name: prediction(load(file, trust=True)) for name, file in exported(model, arguments, folder)}


def a_person(video: str) -> dict:
    """In the middle of a video, a quarter of the frame."""
    reader = open_video(video)
    height, width = reader.frames([0])[0].shape[:2]
    return {reader.duration / 2: [[width / 4, height / 4, 3 * width / 4, 3 * height / 4]]}


def of_backbone(arguments: argparse.Namespace, folder: Path) -> dict[str, Callable]:
    # A size alone has random weights, which are as fast.
    frames = arguments.frames
    model = (
        Hiera(arguments.model, num_frames=frames).eval()
        if arguments.model in ARCHITECTURES
        else backbone(arguments.model)
    )
    pixels = torch.randn(arguments.batch_size, 3, *([frames] if frames else []), *(arguments.size or (224, 224)))
    runs: dict[str, Callable] = {'PyTorch': torch.no_grad()(partial(model, pixels))}
    runs['PyTorch, compiled'] = torch.no_grad()(partial(torch.compile(model, dynamic=False), pixels))
    runs['PyTorch, bfloat16'] = in_bfloat16(runs['PyTorch'])
    for name, file in exported(model, arguments, folder):
        runs[name] = partial(open_exported(file, trust=True).session, pixels=pixels.numpy())
    return runs


def exported(model: Any, arguments: argparse.Namespace, folder: Path) -> Iterator[tuple[str, str]]:
    """Names of runtimes, and the files for them."""
    size = arguments.size and tuple(arguments.size)
    write = export_backbone if arguments.backbone else export
    for ending, kind in FORMATS.items():
        write(model, folder / f'model{ending}', size)
        yield kind.runtime, str(folder / f'model{ending}')
    if arguments.int8:
        for name, ending in (('onnxruntime, INT8', 'onnx'), ('openvino, INT8', 'xml')):
            write(model, folder / f'int8.{ending}', size, arguments.int8)
            yield name, str(folder / f'int8.{ending}')


def in_bfloat16(run: Callable) -> Callable:
    return torch.autocast('cpu', torch.bfloat16)(run)


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument('model', help='as for hiera-mm export; with --backbone also a size such as b')
    parser.add_argument('picture', nargs='?', help='or clip, that a whole model gets')
    parser.add_argument('--backbone', action='store_true', help='the backbone alone')
    parser.add_argument('--size', type=int, nargs=2, help='height and width of the input')
    parser.add_argument('--frames', type=int, help='of clips, for a backbone that is a size')
    parser.add_argument('--repeats', type=int, default=5, help='runs that count (%(default)s)')
    parser.add_argument('--threads', type=int, help="(default: torch's own choice)")
    parser.add_argument('--batch-size', type=int, default=1, help='of a backbone (%(default)s)')
    parser.add_argument('--classes', help='as for hiera-mm export')
    parser.add_argument('--int8', nargs='+', metavar='FILE', help='for the ranges of numbers of 8 bits')
    return parser.parse_args()


if __name__ == '__main__':
    with as_sentences():
        main()
