"""Time models side by side: ``python -m benchmarks.models hiera-transformer:b hiera_mm:b --size 224 --batch 8``.

A contestant is one of
  hiera_mm:ARCH[:WINDOWS]       this Hiera, with windows such as 8/4/14/7 also in stages 3 and 4
  plain:ARCH[:WINDOWS]          the same without its faster code for CPUs and GPUs
  kernels:ARCH[:WINDOWS]        the same with kernels of its own on a GPU, whose weights are in bfloat16
  masked:ARCH[:RATIO]           the encoder of a masked autoencoder without this share of the mask units
  dense:ARCH[:RATIO]            the same on all of them, with tokens in their place (MaskFeat, SimMIM)
  hiera-transformer:ARCH        the official model
  sam2:ARCH:WINDOWS             SAM 2's trunk
  timm:MODEL                    any of timm's backbones
  transformers:ARCH             Hiera of Hugging Face's transformers
  SCOPE.TYPE[:KEY=VALUE,...]    a backbone of a registry, such as mmaction.MViT:arch=base,temporal_size=16
  CONFIG.py:backbone            the backbone of a config, also of a package: mmdet::swin/NAME.py:backbone
  CONFIG.py                     the whole detector or recogniser of a config
  bfloat16:CONTESTANT           any of these backbones with its weights in bfloat16, whatever --dtype says of the others
Weights are random, and the same where names and shapes are. Runs alternate between the contestants, times are
medians, ratios are to the first contestant. On a GPU a run's time begins with an idle GPU; beside it stand a run's
share of 20 in a queue, how long the GPU computes, and how many kernels it is given: where it computes for much less
than a run takes, the processor is what was timed.
"""

import argparse
from pathlib import Path

import hiera_mm  # noqa: F401  (first: it repairs what the imports below need)
from hiera_mm.commands.faults import as_sentences
from hiera_mm.errors import UserError

import torch
import torch.nn as nn

from benchmarks.contestants import Scale, build_contestant
from benchmarks.measure import MODES, Measurement, Setting, matrix_product_ceiling, measure
from benchmarks.report import as_rows, draw, table, write


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    setting = Setting(arguments.mode, arguments.dtype, arguments.device, arguments.compile, arguments.graph)
    if setting.device != 'cpu' and not torch.cuda.is_available():
        raise UserError(f'torch sees no GPU here for --device {setting.device}; take --device cpu.')
    if setting.graph and (not setting.on_gpu or setting.mode == 'step' and not setting.compile):
        raise UserError('--graph takes --device cuda, and --mode forward or backward, or also --compile.')
    found = [
        measurement
        for scale in scales(arguments)
        for measurement in measure_all(arguments.contestants, scale, setting, arguments.repeats)
    ]
    ceiling = matrix_product_ceiling(setting)
    rows = as_rows(found, setting, ceiling)
    print(table(rows))
    print(f'ceiling: {ceiling / 1e9:.0f} GFLOP/s in products of square matrices')
    if arguments.out:
        title = arguments.title or MODES[setting.mode]
        write(arguments.out, rows, title, ceiling_flops=ceiling)
        draw(arguments.out, rows, title)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('contestants', nargs='+', help='see above')
    parser.add_argument(
        '--size',
        nargs='+',
        default=['1024'],
        metavar='SIDE',
        help='side of the image in pixels, or HEIGHTxWIDTH; several for a plot of growth (default: 1024)',
    )
    parser.add_argument('--frames', nargs='+', type=int, help='clips of so many frames; several for a plot of growth')
    parser.add_argument('--batch', type=int, default=1, help='images or clips')
    parser.add_argument(
        '--mode', choices=MODES, default='forward', help='; '.join(f'{k}: {v}' for k, v in MODES.items())
    )
    parser.add_argument('--dtype', choices=['float32', 'bfloat16', 'float16'], default='float32', help='by autocast')
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    parser.add_argument('--threads', type=int, help='threads of the CPU (default: all)')
    parser.add_argument(
        '--compile', action='store_true', help='compile the models, or of whole ones what train --compile does'
    )
    parser.add_argument('--graph', action='store_true', help="as CUDA graphs: one for a run, or torch's with --compile")
    parser.add_argument('--repeats', type=int, default=7, help='timed runs of each, after one that warms up')
    parser.add_argument('--out', type=Path, metavar='PREFIX', help='write PREFIX.csv, PREFIX.json and PREFIX.png')
    parser.add_argument('--title', help='of the picture')
    return parser.parse_args()


def scales(arguments: argparse.Namespace) -> list[Scale]:
    return [
        Scale(arguments.batch, frames, *sides(size)) for size in arguments.size for frames in arguments.frames or [None]
    ]


def sides(size: str) -> tuple[int, int]:
    height, _, width = size.partition('x')
    if not (height.isdigit() and (width or height).isdigit()):
        raise UserError(f"--size is a side such as 1024, or HEIGHTxWIDTH such as 800x1344, not '{size}'.")
    return int(height), int(width or height)


def measure_all(names: list[str], scale: Scale, setting: Setting, repeats: int) -> list[Measurement]:
    torch.manual_seed(0)
    contestants = {name: built for name in names if (built := build_contestant(name, scale)) is not None}
    if not contestants:
        raise UserError('None of the contestants is installed.')
    share_weights([contestant.model for contestant in contestants.values()])
    return measure(contestants, scale, setting, repeats)


def share_weights(models: list[nn.Module]) -> None:
    """Give each the first one's weights of the same names and shapes, as the ports of one model have."""
    given = models[0].state_dict()
    for model in models[1:]:
        own = model.state_dict()
        fitting = {name: tensor for name, tensor in given.items() if name in own and own[name].shape == tensor.shape}
        model.load_state_dict(fitting, strict=False)


if __name__ == '__main__':
    with as_sentences():
        main()
