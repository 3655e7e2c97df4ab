"""Options that several commands share, and reading a config with them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hiera_mm.readers.inputs import Input
    from hiera_mm.tasks.actions import PersonFinder

    from mmengine.config import Config

RANK_VARIABLES = dict(
    pytorch=('RANK', 'LOCAL_RANK', 'WORLD_SIZE'),
    slurm=('SLURM_PROCID', 'SLURM_LOCALID', 'SLURM_NTASKS'),
    mpi=('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_LOCAL_RANK', 'OMPI_COMM_WORLD_SIZE'),
)
"""Environment variables of each launcher for rank, local rank and world size."""

LAUNCHER_PROGRAMS = dict(pytorch='torchrun or tools/dist_train.sh', slurm='srun', mpi='mpirun of Open MPI')


def add_config_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='config file, or the name of a shipped one')


def add_common_options(
    parser: argparse.ArgumentParser,
    work_dir: str = 'folder for logs, checkpoints and metrics (default: work_dirs/CONFIG_NAME)',
) -> None:
    """Add the options that training and testing share, named as in mmdet; ``work_dir`` is the help of
    ``--work-dir``."""
    parser.add_argument('--work-dir', help=work_dir)
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        metavar='KEY=VALUE',
        help='settings of the config to override, such as train_dataloader.batch_size=2; lists as key="[a,b]"',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='job launcher')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_verbose_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--verbose', action='store_true', help='show on the console all that the log file gets')


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add the training options that change what an iteration does."""
    parser.add_argument('--amp', action='store_true', help='train in mixed precision: fp16 on a GPU, bf16 on a CPU')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by the true batch size over auto_scale_lr.base_batch_size',
    )
    add_compile_option(parser)


def add_compile_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--compile',
        action='store_true',
        help='compile the parts with static shapes, which is faster on GPUs if all inputs have one size',
    )


def read_config(arguments: argparse.Namespace) -> Config:
    """The config file with the common options applied.

    Raises:
        UserError: if the file or one that it inherits from is missing or invalid, if options don't fit it, or if the
            launcher did not start this process.
    """
    from hiera_mm import settings

    _adopt_ranks(arguments.launcher)
    os.environ.setdefault('LOCAL_RANK', str(arguments.local_rank))
    if arguments.launcher != 'none':
        _refuse_without_gpu(int(os.environ['LOCAL_RANK']))
    config = settings.read_config(arguments.config, arguments.cfg_options or ())
    config.launcher = arguments.launcher
    if arguments.work_dir:
        config.work_dir = arguments.work_dir
    elif config.get('work_dir') is None:
        config.work_dir = os.path.join('work_dirs', Path(arguments.config).stem)
    return config


def read_names(path: str | None) -> Sequence[str] | Mapping[int, str] | None:
    """Class names, one per line, or names of actions by number from a ``.pbtxt``; None without a file.

    Raises:
        UserError: if it can't be read.
    """
    from hiera_mm.readers.ava_files import read_action_list
    from hiera_mm.readers.class_names import read_class_names

    if path is None:
        return None
    return read_action_list(path) if path.endswith('.pbtxt') else read_class_names(path)


def add_trust_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--trust',
        action='store_true',
        help="let a file whose author you trust run code: for a .pt2, or a config inside with texts that aren't known",
    )


def add_newest_option(parser: argparse.ArgumentParser) -> None:
    """Add the option of :func:`chosen_checkpoint`."""
    parser.add_argument(
        '--newest', action='store_true', help='of the folder of a run take the newest checkpoint, not the best'
    )


def chosen_checkpoint(source: str, newest: bool) -> str:
    """The file or published folder that is meant by a model; for the folder of a run it is told in a line.

    Raises:
        UserError: as :func:`hiera_mm.inference.loading.checkpoint_in`, and for ``newest`` of anything else.
    """
    from hiera_mm.engine.saving import BEST
    from hiera_mm.errors import UserError
    from hiera_mm.inference.loading import checkpoint_in

    # A text, as a path would make one slash of an address's two.
    found = checkpoint_in(source, newest)
    of_a_run = Path(source).is_dir() and Path(found).is_file()
    if newest and not of_a_run:
        raise UserError(f"--newest is for the folder of a run, which '{source}' is not; leave it out.")
    if of_a_run:
        name = Path(found).name
        print(f'Of {source}: {name}, the {"best by validation" if name.startswith(BEST) else "newest"}.')
    return found


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of :func:`read_model`."""
    add_newest_option(parser)
    parser.add_argument('--config', help='config of the model, if its file does not contain it')
    parser.add_argument('--classes', metavar='FILE', help='names of the classes, one per line; for actions a .pbtxt')
    parser.add_argument('--device', help='such as cuda:0 or cpu (default: a GPU if there is one)')
    add_trust_option(parser)
    parser.add_argument(
        '--half', action='store_true', help='compute in half precision: bf16, or fp16 on GPUs without it'
    )


def read_model(arguments: argparse.Namespace) -> Any:
    """The predictor of the model that the options name.

    Raises:
        UserError: as :func:`hiera_mm.load`.
    """
    from hiera_mm.tasks import load

    names, model = read_names(arguments.classes), chosen_checkpoint(arguments.model, arguments.newest)
    return load(model, arguments.config, arguments.device, names, arguments.trust, arguments.half)


def add_person_options(group: argparse._ArgumentGroup) -> None:
    """Add the options of the detector that finds the persons for an action detector."""
    group.add_argument('--det-checkpoint', help='a detector that finds persons (of a run its folder: the best one)')
    group.add_argument('--det-config', help="its config, also one of mmdet's, if its file does not contain it")
    group.add_argument('--det-score-thr', type=float, help='score threshold for a person (0.8)')
    group.add_argument('--det-classes', nargs='+', help="the detector's classes that count as persons (person)")


def read_persons(arguments: argparse.Namespace) -> PersonFinder | None:
    """The detector of :func:`add_person_options`; None if not given.

    Raises:
        UserError: if it is not a detector, or can't be read.
    """
    from hiera_mm.errors import UserError
    from hiera_mm.tasks import load
    from hiera_mm.tasks.actions import PersonFinder

    if arguments.det_checkpoint is None:
        return None
    settings = arguments.device, None, arguments.trust, arguments.half
    chosen = chosen_checkpoint(arguments.det_checkpoint, newest=False)
    detector = load(chosen, arguments.det_config, *settings)
    if not detector.trained.task.finds_persons:
        raise UserError(f"'{arguments.det_checkpoint}' is not an object detector; name one that finds persons.")
    given = dict(score_thr=arguments.det_score_thr, classes=arguments.det_classes)
    return PersonFinder(detector, **{name: value for name, value in given.items() if value is not None})


def apply_training_options(config: Config, arguments: argparse.Namespace) -> None:
    """Apply the options of :func:`add_training_options` to the config.

    Raises:
        UserError: if there is no batch size to scale by.
    """
    from hiera_mm.engine.settings import compile_model, scale_learning_rate, use_mixed_precision

    if arguments.amp:
        use_mixed_precision(config)
    if arguments.compile:
        compile_model(config)
    if arguments.auto_scale_lr:
        scale_learning_rate(config)


def _adopt_ranks(launcher: str) -> None:
    """Copy a launcher's rank variables to torchrun's names, which everything else reads."""
    from hiera_mm.errors import UserError

    for name, theirs in zip(RANK_VARIABLES['pytorch'], RANK_VARIABLES.get(launcher, ()), strict=False):
        if theirs not in os.environ:
            raise UserError(
                f'--launcher {launcher} is for processes that {LAUNCHER_PROGRAMS[launcher]} starts, which would set '
                f'{theirs}; start it that way, or leave --launcher out to train in one process.'
            )
        os.environ[name] = os.environ[theirs]


def _refuse_without_gpu(local_rank: int) -> None:
    """Check that each process has its own GPU, if there are any."""
    from hiera_mm.errors import UserError

    import torch

    count = torch.cuda.device_count()
    if 0 < count <= local_rank:
        raise UserError(
            f'This is process {local_rank + 1} of this machine, but torch sees only {count} GPU{"s" * (count > 1)} '
            f'here (CUDA_VISIBLE_DEVICES={os.environ.get("CUDA_VISIBLE_DEVICES", "not set")}); start as many processes '
            "as there are GPUs, or set CUDA_VISIBLE_DEVICES='' to train on the CPU."
        )


def without_results(folder: Path, inputs: list[Input]) -> list[Input]:
    """The inputs without results of an earlier run, which would be overwritten.

    Raises:
        UserError: if all of them lie where results are written.
    """
    from hiera_mm.errors import UserError

    written = [entry for entry in inputs if Path(entry.source).resolve().is_relative_to(folder.resolve())]
    if len(written) == len(inputs):
        raise UserError(
            f"The results would be written among the inputs, in '{folder}'; choose another folder with --out-dir."
        )
    if written:
        print(f"Left out: {len(written)} inputs in '{folder}', where results are written.")
    return [entry for entry in inputs if entry not in written]


def positive(text: str) -> int:
    """The number that an option gives, at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError('must be 1 or more')
    return number
