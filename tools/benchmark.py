"""Time backbones side by side: ``python tools/benchmark.py sam2:b:8/4/14/7 hiera_mm:b:8/4/14/7 --size 1024``.

A contestant is PACKAGE:ARCH or PACKAGE:ARCH:WINDOWS, with the package hiera_mm, sam2 or hiera-transformer, or
masked:ARCH:RATIO, the encoder of a masked autoencoder that leaves out this share of the mask units. Runs alternate
between the contestants, and every time is a median; ratios are to the first one.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import hiera_mm  # noqa: F401  (first: it mends what the imports below need)
from hiera_mm.architectures import ARCHITECTURES
from hiera_mm.cli import faults_as_sentences
from hiera_mm.complexity import count_macs, count_parameters
from hiera_mm.errors import UserError
from hiera_mm.models import Hiera
from hiera_mm.models.hiera import UNIT_PIXELS
from hiera_mm.models.mae import Q_POOLS

import torch
import torch.nn as nn

GLOBAL_BLOCKS = dict(t=(5, 7, 9), s=(7, 10, 13), b=(12, 16, 20), bp=(12, 16, 20), l=(23, 33, 43), h=(23, 33, 43))
"""SAM 2's for the depth of each size."""


def main() -> None:
    arguments = parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    models = {name: model for name in arguments.contestants if (model := build(name, arguments.size)) is not None}
    image = torch.randn(arguments.batch, 3, arguments.size, arguments.size)
    times = alternate(models, image, arguments.repeats, arguments.backward)
    show(models, times, arguments)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('contestants', nargs='+', metavar='PACKAGE:ARCH[:WINDOWS_OR_RATIO]')
    parser.add_argument('--size', type=int, default=1024, help='side of the image in pixels')
    parser.add_argument('--batch', type=int, default=1, help='images')
    parser.add_argument('--repeats', type=int, default=7, help='timed runs of each, after one that warms up')
    parser.add_argument('--backward', action='store_true', help='time forward and backward instead of forward')
    parser.add_argument('--threads', type=int, help='threads of the CPU (default: all)')
    return parser.parse_args()


def build(name: str, size: int) -> nn.Module | None:
    """A model by its contestant's name, or None, which is said, if its package is not installed."""
    package, arch, *options = name.split(':')
    if package not in BUILDERS or arch not in GLOBAL_BLOCKS or len(options) > 1:
        raise UserError(
            f"There is no contestant '{name}'; join by colons {' or '.join(BUILDERS)}, an arch of "
            f'{", ".join(GLOBAL_BLOCKS)} and, if wanted, windows such as 8/4/14/7, or for masked a ratio.'
        )
    try:
        return BUILDERS[package](arch, size, *options)
    except ImportError as error:
        print(f'{name}: left out, as it is not installed ({error})')
        return None


def build_ours(arch: str, size: int, windows: str | None = None) -> nn.Module:
    if windows is None:
        return Hiera(arch)
    return Hiera(arch, window_sizes=sides(windows), global_blocks=GLOBAL_BLOCKS[arch], pos_embed='absolute_win')


def build_masked(arch: str, size: int, ratio: str = '0.6') -> nn.Module:
    if not ratio.replace('.', '', 1).isdigit() or float(ratio) >= 1:
        raise UserError(f'masked:{arch}:{ratio} needs a share of mask units from 0 to below 1, such as 0.6.')
    return Masked(arch, size, float(ratio))


class Masked(nn.Module):
    """The encoder on the mask units that are kept, drawn once for all runs."""

    def __init__(self, arch: str, size: int, ratio: float) -> None:
        super().__init__()
        units = (size // UNIT_PIXELS) ** 2
        self.kept = torch.randperm(units)[: int(units * (1 - ratio))]
        self.encoder = Hiera(arch, q_pools=Q_POOLS)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.encoder.forward_kept(image, self.kept.to(image.device).expand(len(image), -1))


def sides(windows: str) -> tuple[int, ...]:
    try:
        return tuple(int(side) for side in windows.split('/'))
    except ValueError:
        raise UserError(f"Windows are given as 8/4/14/7, not '{windows}'.") from None


def build_sam2(arch: str, size: int, windows: str | None = None) -> nn.Module:
    from sam2.modeling.backbones.hieradet import Hiera as Trunk

    if windows is None:
        raise UserError("SAM 2's trunk needs windows, such as sam2:b:8/4/14/7.")
    settings = ARCHITECTURES[arch]
    return Trunk(
        embed_dim=settings['embed_dim'],
        num_heads=settings['num_heads'],
        stages=settings['depths'],
        window_spec=sides(windows),
        global_att_blocks=GLOBAL_BLOCKS[arch],
    )


def build_official(arch: str, size: int, windows: str | None = None) -> nn.Module:
    import hiera

    if windows is not None:
        raise UserError(f'The official package has no windows; write hiera-transformer:{arch}.')
    settings = ARCHITECTURES[arch]
    model = hiera.Hiera(
        input_size=(size, size),
        embed_dim=settings['embed_dim'],
        num_heads=settings['num_heads'],
        stages=settings['depths'],
    )
    model.forward = lambda image, forward=model.forward: forward(image, return_intermediates=True)[1]
    return model


BUILDERS: dict[str, Callable[..., nn.Module]] = {
    'hiera_mm': build_ours,
    'masked': build_masked,
    'sam2': build_sam2,
    'hiera-transformer': build_official,
}


def alternate(
    models: dict[str, nn.Module], image: torch.Tensor, repeats: int, backward: bool
) -> dict[str, list[float]]:
    """Seconds of each model's runs, in turns, without the first one."""
    times = {name: [] for name in models}
    for repeat in range(repeats + 1):
        for name, model in models.items():
            start = time.perf_counter()
            run(model, image, backward)
            if repeat:
                times[name].append(time.perf_counter() - start)
    return times


def run(model: nn.Module, image: torch.Tensor, backward: bool) -> None:
    if backward:
        sum(stage_map.square().mean() for stage_map in model.train()(image)).backward()
        model.zero_grad()
    else:
        with torch.inference_mode():
            model.eval()(image)


def show(models: dict[str, nn.Module], times: dict[str, list[float]], arguments: argparse.Namespace) -> None:
    what = 'forward and backward' if arguments.backward else 'forward'
    print(f'{what}, {arguments.batch} x 3 x {arguments.size} x {arguments.size}, {torch.get_num_threads()} CPU threads')
    print(f'{"contestant":28}{"median s":>10}{"range s":>16}{"speed":>8}{"params M":>10}{"GMACs":>8}')
    first = None
    for name, model in models.items():
        median = statistics.median(times[name])
        first = first or median
        macs = count_macs(model, torch.empty(1, 3, arguments.size, arguments.size))[0]
        spread = f'{min(times[name]):.3f}-{max(times[name]):.3f}'
        numbers = f'{first / median:>8.2f}{count_parameters(model) / 1e6:>10.1f}{macs / 1e9:>8.0f}'
        print(f'{name:28}{median:>10.3f}{spread:>16}{numbers}')


if __name__ == '__main__':
    with faults_as_sentences():
        main()
