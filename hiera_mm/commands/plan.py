"""Show how much memory training a config takes and what fits on a GPU, without data or a GPU.

hiera-mm plan mask_rcnn_hiera_l --gpus 8 --gpu-memory 24
hiera-mm plan k400_hiera_b --time        # also train one step here, and say how long the run would take
"""

import argparse
import math

from hiera_mm.commands.options import add_common_options, add_config_argument, read_config

GIB = 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_config_argument(parser)
    parser.add_argument('--gpus', type=int, default=1, help='number of GPUs, one process each (%(default)s)')
    parser.add_argument('--gpu-memory', type=float, default=24, metavar='GIB', help='memory of each GPU (%(default)s)')
    parser.add_argument(
        '--shape', nargs=2, type=int, metavar=('H', 'W'), help="size of the inputs in pixels (default: the pipeline's)"
    )
    parser.add_argument(
        '--samples', type=int, metavar='N', help='size of the training set (default: counted if it exists)'
    )
    parser.add_argument('--time', action='store_true', help='time a training step of one sample on this machine')
    add_common_options(parser)


def run(arguments: argparse.Namespace) -> None:
    from hiera_mm.engine.training_plan import fastest, training_setups
    from hiera_mm.tasks import task_of

    from mmengine.registry import init_default_scope
    from rich.console import Console

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
    samples = arguments.samples or _count(config)
    for line in _advice(config, fastest(setups, batch, memory), samples, arguments):
        console.print(line)
    if arguments.time:
        console.print(_duration(config, task, shape, setups[0].repeats, samples))


def _count(config) -> int | None:
    """Samples of the training set, if it exists; None for a run by iterations, which doesn't need it."""
    from hiera_mm.errors import UserError

    from mmengine.registry import DATASETS

    if config.train_cfg.get('max_iters'):
        return None
    try:
        return len(DATASETS.build(config.train_dataloader.dataset))
    except (OSError, UserError):
        return None


def _table(setups: list, batch: int, memory: float):
    from rich.table import Table

    table = Table(title=f'GiB in each process, and the largest batch that fits into {memory / GIB:g}')
    for heading in ('precision', 'recomputed\nstages'):
        table.add_column(heading, no_wrap=True)
    for heading in ('weights', 'gradients', 'optimizer', 'a sample', f'batch {batch}', 'largest'):
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


def _advice(config, setup, samples: int | None, arguments: argparse.Namespace):
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
    base = config.get('auto_scale_lr', {}).get('base_batch_size')
    total, rate = fits * arguments.gpus, config.optim_wrapper.optimizer.lr
    if base:
        yield (
            f'The total batch size is then {total}, and the learning rate {rate * total / base:.3g} by the linear rule '
            f'(--auto-scale-lr), as the recipe has {rate:g} for {base}.'
        )
        yield _length(config, total, base, samples)


def _length(config, total: int, base: int, samples: int | None) -> str:
    loop = config.train_cfg
    if loop.get('max_iters'):
        same = round(loop.max_iters * base / total)
        return f'{same} iterations see as many samples as the {loop.max_iters} of the recipe (max_iters={same}).'
    if samples is None:
        return f'The run has {loop.max_epochs} epochs; --samples N says how many iterations they are.'
    iterations = loop.max_epochs * math.ceil(samples / total)
    return f'The {loop.max_epochs} epochs of {samples} samples are {iterations} iterations.'


def _duration(config, task, shape, repeats: int, samples: int | None) -> str:
    from hiera_mm.engine.training_memory import train_steps

    seconds = train_steps(config, task, shape) * repeats
    words = f'A step of one sample takes {seconds:.2f} s here in float32'
    base, loop = config.get('auto_scale_lr', {}).get('base_batch_size'), config.train_cfg
    total = loop.max_iters * base if loop.get('max_iters') and base else loop.get('max_epochs', 0) * (samples or 0)
    if not total:
        return f'{words}, and an epoch that many times as long as there are samples (--samples N), on one device.'
    return f'{words}: {seconds * total / 3600:.0f} hours for the whole run on one device like this.'
