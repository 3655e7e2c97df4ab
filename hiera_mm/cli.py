"""What the command-line tools share: configs and options in, faults out as sentences."""

import argparse
import contextlib
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from hiera_mm.config import read_config_file
from hiera_mm.errors import UserError
from hiera_mm.explain import explain

import torch
from mmengine.config import Config, DictAction


@contextlib.contextmanager
def faults_as_sentences() -> Iterator[None]:
    """End the program with one sentence and exit code 1 for every fault that :mod:`hiera_mm.explain` knows."""
    try:
        yield
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        sys.stdout.flush()
        print(f'Error: {sentence}', file=sys.stderr)
        sys.exit(1)
    if torch.distributed.is_initialized():
        # Threads of gloo that outlive the interpreter abort the process; they end with the last holder of the group,
        # and the model is one.
        gc.collect()
        torch.distributed.destroy_process_group()


def add_common_options(
    parser: argparse.ArgumentParser,
    work_dir: str = 'folder for logs, checkpoints and metrics (default: work_dirs/CONFIG_NAME)',
) -> None:
    """The options that training and testing share, named as mmdet's; ``work_dir`` is the help on ``--work-dir``."""
    parser.add_argument('--work-dir', help=work_dir)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings of the config to override, such as train_dataloader.batch_size=2; lists as key="[a,b]"',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Those of training that change what an iteration does."""
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (needs a GPU)')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the true batch size over auto_scale_lr.base_batch_size',
    )
    add_compile_option(parser)


def apply_training_options(config: Config, arguments: argparse.Namespace) -> None:
    """Set in the config what :func:`add_training_options` asked for.

    Raises:
        UserError: where there is no GPU, or no batch size to scale by.
    """
    if arguments.amp:
        use_mixed_precision(config)
    if arguments.compile:
        compile_backbone(config)
    if arguments.auto_scale_lr:
        scale_learning_rate(config)


def add_compile_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--compile', action='store_true', help='compile the backbone; pays where inputs have one size')


def compile_backbone(config: Config) -> None:
    config.custom_hooks = [*config.get('custom_hooks', []), dict(type='CompileBackboneHook')]


def use_mixed_precision(config: Config) -> None:
    """``--amp``."""
    if not torch.cuda.is_available():
        raise UserError('--amp needs a GPU, and torch sees none here; train without --amp.')
    config.optim_wrapper.type = 'AmpOptimWrapper'
    config.optim_wrapper.setdefault('loss_scale', 'dynamic')


def scale_learning_rate(config: Config) -> None:
    """``--auto-scale-lr``."""
    if 'base_batch_size' not in config.get('auto_scale_lr', {}):
        raise UserError(
            '--auto-scale-lr needs to know for which batch size the learning rate was chosen; set '
            'auto_scale_lr = dict(base_batch_size=...) in the config.'
        )
    config.auto_scale_lr.enable = True


def read_config(arguments: argparse.Namespace) -> Config:
    """The config file with the common options applied.

    Raises:
        UserError: if the file or one it inherits from is missing or no valid config.
    """
    os.environ.setdefault('LOCAL_RANK', str(arguments.local_rank))
    config = read_config_file(arguments.config)
    try:
        config.merge_from_dict(arguments.cfg_options or {})
    except (KeyError, TypeError, IndexError) as error:
        reason = f'{type(error).__name__}: {error}'.rstrip('.')
        raise UserError(f"--cfg-options don't fit the config '{arguments.config}': {reason}.") from error
    config.launcher = arguments.launcher
    if arguments.work_dir:
        config.work_dir = arguments.work_dir
    elif config.get('work_dir') is None:
        config.work_dir = os.path.join('work_dirs', Path(arguments.config).stem)
    if arguments.launcher == 'pytorch' and not torch.cuda.is_available():
        _communicate_between_cpus(config)
    return config


def _communicate_between_cpus(config: Config) -> None:
    """Several processes without a GPU, where mmengine would ask CUDA for a device for each."""
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group(backend='gloo')
    config.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False)
