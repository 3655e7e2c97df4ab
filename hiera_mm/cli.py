"""What the command-line tools share: configs and options in, faults out as sentences."""

import argparse
import contextlib
import gc
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from hiera_mm.config import read_config_file
from hiera_mm.errors import UserError, sentence_of

import torch
from mmengine.config import Config, DictAction


@contextlib.contextmanager
def faults_as_sentences() -> Iterator[None]:
    """End the program with one sentence and exit code 1 for every fault that :func:`explain` knows."""
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


def explain(error: BaseException) -> str | None:
    """The sentence that tells a user what to do about an error, or None for one nobody foresaw."""
    if isinstance(error, UserError):
        return sentence_of(error)
    text = str(error)
    # The last of them, as a worker's traceback first quotes the source line that holds the same words.
    if undecodable := re.findall(r'failed to load image: (.*)', text):
        return (
            f"The image '{undecodable[-1]}' can't be decoded; replace the file or take it out of the annotation file."
        )
    if missing := re.search(r"No such file or directory: '(.*\.(?:jpe?g|png|bmp|webp|tiff?))'", text, re.IGNORECASE):
        return (
            f"The image '{missing[1]}' is missing; put it there, correct data_prefix in the config, or take it out "
            f'of the annotation file.'
        )
    if unknown := re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", text):
        return (
            f"The config key '{unknown[2]}' does not exist on {unknown[1]}; correct its spelling or remove it "
            f'(a key inherited from another type goes away with _delete_=True in the dict that sets the type).'
        )
    if isinstance(error, KeyError) and 'is not in the' in text and 'registry' in text:
        return f'The config names a type that nothing registers: {text.strip(chr(34))}'
    return None


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """The options that training and testing share, named as mmdet's."""
    parser.add_argument('--work-dir', help='folder for logs, checkpoints and metrics (default: work_dirs/CONFIG_NAME)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='settings of the config to override, such as train_dataloader.batch_size=2; lists as key="[a,b]"',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_compile_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--compile', action='store_true', help='compile the backbone; pays where inputs have one size')


def compile_backbone(config: Config) -> None:
    config.custom_hooks = [*config.get('custom_hooks', []), dict(type='CompileBackboneHook')]


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
