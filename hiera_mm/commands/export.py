"""Write a trained model as one file for ONNX Runtime, OpenVINO, TensorRT or torch.

hiera-mm export MODEL FILE.onnx

FILE's ending selects the format: .onnx, .xml (OpenVINO) or .pt2 (torch.export). The file computes final boxes, masks or
probabilities from pixels, and is itself a MODEL for 'hiera-mm predict' and a CHECKPOINT for 'hiera-mm test'. With
--backbone MODEL may also be a name of 'hiera-mm weights list', and the file gives the backbone's maps.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hiera_mm.commands.options import add_newest_option, add_trust_option

if TYPE_CHECKING:
    from hiera_mm.readers.inputs import Kind


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('model', help="checkpoint, folder of a run, or what 'hiera-mm publish' wrote")
    parser.add_argument('file', type=Path, help='file to write, ending in .onnx, .xml or .pt2')
    parser.add_argument(
        '--size', type=int, nargs=2, metavar=('HEIGHT', 'WIDTH'), help='size of the input (default: that of testing)'
    )
    parser.add_argument(
        '--int8',
        nargs='+',
        metavar='INPUT',
        help='compute in 8-bit integers (.onnx, .xml), calibrated on these inputs: a few hundred like those that the '
        'model was trained on',
    )
    parser.add_argument('--config', help='config of the model, if its file does not contain it')
    add_newest_option(parser)
    add_trust_option(parser)
    parser.add_argument('--classes', metavar='FILE', help='names of the classes, one per line')
    parser.add_argument('--backbone', action='store_true', help='the backbone alone, from normalised pixels to maps')


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.commands.options import chosen_checkpoint, read_names
    from hiera_mm.inference.export import export, export_backbone
    from hiera_mm.inference.load_backbone import backbone
    from hiera_mm.inference.page_results import page_kinds
    from hiera_mm.readers.inputs import Kind
    from hiera_mm.tasks import load

    model = chosen_checkpoint(arguments.model, arguments.newest)
    size, note = arguments.size and tuple(arguments.size), ''
    if arguments.backbone:
        files = _calibration_files(arguments.int8, Kind.IMAGE)
        export_backbone(backbone(model), arguments.file, size, files)
    else:
        predictor = load(model, arguments.config, 'cpu', read_names(arguments.classes), arguments.trust)
        # The first kind of files that the model takes: for a detector images, not frames of videos.
        files = arguments.int8 and _calibration_files(arguments.int8, page_kinds(predictor)[0])
        note = export(predictor, arguments.file, size, files)
    # An .xml has its weights in a file beside it.
    beside = [arguments.file.with_suffix('.bin')] if arguments.file.suffix == '.xml' else []
    print(', '.join(f'{path}: {path.stat().st_size / 2**20:.1f} MiB' for path in (arguments.file, *beside)) + '.')
    if note:
        print(note)


def _calibration_files(given: Sequence[str] | None, kind: Kind) -> list[str] | None:
    """The files to calibrate on, evenly spread over all inputs."""
    from hiera_mm.inference.formats.int8 import MAX_CALIBRATION_FILES
    from hiera_mm.readers.inputs import find_inputs

    if given is None:
        return None
    files = [entry.source for entry in find_inputs(given, [kind])]
    return files[:: max(len(files) // MAX_CALIBRATION_FILES, 1)][:MAX_CALIBRATION_FILES]
