"""Show how much memory training a config takes and what fits on a GPU, without data or a GPU.

hiera-mm plan mask_rcnn_hiera_l --gpus 8 --gpu RTX4090
hiera-mm plan k400_hiera_b --time        # also train one step here, and say how long the run would take
hiera-mm plan k400_hiera_b --price 2.5   # and what it would cost, at this price of an hour
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hiera_mm.commands.options import add_common_options, add_config_argument, read_config

if TYPE_CHECKING:
    from hiera_mm.engine.training_plan import TrainingSetup
    from hiera_mm.tasks import Task

    from mmengine.config import Config

GIB = 2**30

GPUS = dict(
    **dict.fromkeys(('RTX3060', 'RTX4070'), 12),
    **dict.fromkeys(('T4', 'V100', 'RTX4080', 'RTX5080'), 16),
    **dict.fromkeys(('L4', 'A10', 'RTX3090', 'RTX4090'), 24),
    **dict.fromkeys(('V100-32', 'RTX5090'), 32),
    **dict(A100=40, L40S=48, A6000=48),
    **{'A100-80': 80, 'H100': 80, 'H200': 141, 'B200': 180},
)
"""Memory of GPUs in GB, as their maker says."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)
    parser.add_argument('--gpus', type=int, default=1, help='number of GPUs, one process each (%(default)s)')
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument('--gpu-memory', type=float, default=24, metavar='GIB', help='memory of each GPU (%(default)s)')
    kind.add_argument('--gpu', choices=GPUS, metavar='NAME', help=f'or its name: {", ".join(GPUS)}')
    parser.add_argument(
        '--shape', nargs=2, type=int, metavar=('H', 'W'), help="size of the inputs in pixels (default: the pipeline's)"
    )
    parser.add_argument(
        '--samples', type=int, metavar='N', help='size of the training set (default: counted if it exists)'
    )
    parser.add_argument('--time', action='store_true', help='time a training step of one sample on this machine')
    parser.add_argument(
        '--price', type=float, help='of an hour of this machine: with the time, what the run would cost on it'
    )
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.engine.training_plan import fastest, training_setups
    from hiera_mm.settings import given_settings
    from hiera_mm.tasks import task_of

    from mmengine.registry import init_default_scope
    from rich.console import Console

    if arguments.gpu:
        arguments.gpu_memory = float(GPUS[arguments.gpu])
    config = read_config(arguments)
    init_default_scope(config.default_scope)
    task = task_of(config)
    shape = arguments.shape or task.input_shape(config)
    parts, shape = task.complexity(config.model, shape)
    parameters, macs = (sum(column) for column in zip(*parts.values(), strict=True))
    setups = list(training_setups(config, task, shape, arguments.gpus))
    batch, memory = config.train_dataloader.batch_size, arguments.gpu_memory * GIB
    console = Console(highlight=False, soft_wrap=True)
    console.print(
        f'{arguments.config}: {parameters / 1e6:.1f} M parameters, {macs / 1e9:.0f} G multiply-accumulates for one '
        f'input of {shape[0]} x {shape[1]} pixels forward.'
    )
    for part, (count, cost) in parts.items():
        console.print(f'  {part}: {count / 1e6:.2f} M parameters, {cost / 1e9:.1f} G multiply-accumulates')
    console.print(_table(setups, batch, memory))
    given = given_settings(arguments.config, arguments.cfg_options or ())
    samples = arguments.samples or _count(config, task, given)
    for line in _advice(config, fastest(setups, batch, memory), samples, given, arguments):
        console.print(line)
    if arguments.time or arguments.price is not None:
        duration = _duration(config, task, shape, setups[0].repeats, samples, given, arguments.gpus, arguments.price)
        console.print(duration)


def _count(config: Config, task: Task, given: dict[str, Any]) -> int | None:
    """Samples of the training set, if it exists; None for a recipe by iterations, which doesn't need them."""
    from hiera_mm.engine.run_length import training_images
    from hiera_mm.errors import UserError

    from mmengine.registry import DATASETS

    if config.train_cfg.get('max_iters') and not _own_length(config, given):
        return None
    try:
        return training_images(config, task) or len(DATASETS.build(config.train_dataloader.dataset))
    except (OSError, UserError):
        return None


def _table(setups: list, batch: int, memory: float):
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(title=f'GiB in each process, and the largest batch that fits into {memory / GIB:g}', box=SIMPLE_HEAD)
    for heading in ('precision', 'stages\nrecomputed'):
        table.add_column(heading, no_wrap=True)
    for heading in ('weights', 'grads', 'optim.', 'a\nsample', f'batch\n{batch}', 'largest\nbatch'):
        table.add_column(heading, justify='right', no_wrap=True)
    for setup in setups:
        used = setup.memory
        sizes = (used.weights, used.gradients, used.optimizer, setup.repeats * used.per_sample, setup.peak(batch))
        cells = [f'{size / GIB:.2f}' for size in sizes]
        precision = 'half' if setup.autocast else 'float32'
        table.add_row(precision, _stages(setup.with_cp), *cells, str(setup.largest_batch(memory)))
    return table


def _stages(with_cp: bool | tuple[bool, ...]) -> str:
    if isinstance(with_cp, bool):
        return 'all' if with_cp else 'none'
    return ', '.join(str(number) for number, recomputes in enumerate(with_cp, start=1) if recomputes)


def _advice(
    config: Config,
    setup: TrainingSetup | None,
    samples: int | None,
    given: dict[str, Any],
    arguments: argparse.Namespace,
) -> Iterator[str]:
    """The options to set for these GPUs, and what they mean for the run."""
    batch = config.train_dataloader.batch_size
    if setup is None:
        yield (
            f'Not even one sample fits on a GPU of {arguments.gpu_memory:g} GiB; take more GPUs with '
            "runner_type='FullyShardedRunner', which spreads weights, gradients and optimizer over them, a smaller "
            'model, or smaller inputs.'
        )
        return
    fits = min(batch, setup.largest_batch(arguments.gpu_memory * GIB))
    settings = ['--amp']
    options = [f'model.backbone.with_cp="{setup.with_cp}"'] if setup.with_cp else []
    options += [f'train_dataloader.batch_size={fits}'] if fits < batch else []
    if options:
        settings += ['--cfg-options', *(option.replace(' ', '') for option in options)]
    yield f'On {arguments.gpus} of {arguments.gpu_memory:g} GiB: {" ".join(settings)}'
    yield (
        f'With --compile at most {setup.peak_of_graphs(fits) / GIB:.2f} GiB, as CUDA graphs keep the memory of their '
        'parts to themselves.'
    )
    total, rate = fits * arguments.gpus, config.optim_wrapper.optimizer.lr
    base = config.get('auto_scale_lr', {}).get('base_batch_size')
    if 'learning_rate' in given or rate != config.get('learning_rate', rate):
        yield f'The total batch size is then {total}, and the learning rate {rate:g}, as your config sets it.'
    elif base:
        yield (
            f'The total batch size is then {total}, and the learning rate {rate * total / base:.3g} by the linear rule '
            f'(--auto-scale-lr), as the recipe has {rate:g} for {base}.'
        )
    yield _length(config, total, base, samples, given)


def _length(config: Config, total: int, base: int | None, samples: int | None, given: dict[str, Any]) -> str:
    """How long the run is with this batch; of a recipe by iterations, how long it would have to be."""
    from hiera_mm.engine.run_length import length_constants

    loop, epochs = config.train_cfg, given.get('epochs')
    iterations = loop.get('max_iters')
    if iterations and epochs:
        if samples is None:
            return f'The run has {epochs:g} epochs; --samples N says how many iterations they are.'
        iterations = length_constants(samples, total, epochs)['max_iters']
    if iterations and base and base != total and not _own_length(config, given):
        same = round(iterations * base / total)
        return f'{same} iterations see as many samples as the {iterations} of the recipe (max_iters={same}).'
    if iterations:
        shown = f', {iterations * total / samples:.3g} epochs of {samples} samples' if samples else ''
        return f'The run has {iterations} iterations{shown}.'
    if samples is None:
        return f'The run has {loop.max_epochs} epochs; --samples N says how many iterations they are.'
    iterations = loop.max_epochs * math.ceil(samples / total)
    return f'The {loop.max_epochs} epochs of {samples} samples are {iterations} iterations.'


def _duration(
    config: Config,
    task: Task,
    shape: Sequence[int],
    repeats: int,
    samples: int | None,
    given: dict[str, Any],
    gpus: int,
    price: float | None,
) -> str:
    from hiera_mm.engine.run_plan import duration
    from hiera_mm.engine.training_memory import train_steps

    seconds = train_steps(config, task, shape) * repeats
    words = f'A step of one sample takes {seconds:.2f} s here in float32'
    loop, base = config.train_cfg, config.get('auto_scale_lr', {}).get('base_batch_size')
    if epochs := given.get('epochs', loop.get('max_epochs')):
        seen = epochs * (samples or 0)
    else:
        recipe = base and not _own_length(config, given)
        seen = loop.max_iters * (base if recipe else config.train_dataloader.batch_size * gpus)
    if not seen:
        return f'{words}, and an epoch that many times as long as there are samples (--samples N), on one device.'
    cost = '' if price is None else f', which costs {seconds * seen / 3600 * price:,.2f} at {price:g} an hour'
    return f'{words}: {duration(seconds * seen)} for the whole run on one device like this{cost}.'


def _own_length(config: Config, given: dict[str, Any]) -> bool:
    """Whether the user's config sets how long the run is, at its top or in ``train_cfg``, instead of a recipe."""
    set_at_the_top = not {'epochs', 'max_iters'}.isdisjoint(given)
    return set_at_the_top or config.train_cfg.get('max_iters') != config.get('max_iters')
