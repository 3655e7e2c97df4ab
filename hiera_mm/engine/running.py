"""Prepares a config for training, locks its work folder, and builds its runner."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from hiera_mm.config import dicts_in
from hiera_mm.engine.load_from import load_data_only
from hiera_mm.engine.random_states import seed_samples
from hiera_mm.engine.saving import BEST, INTERRUPTED, LAST, checkpoint_folders, last_named
from hiera_mm.errors import UserError, first_few

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

TRAINING_HOOKS = dict(
    random_states='RandomStateHook',
    resume='ResumeHook',
    stop_on_signal='StopOnSignalHook',
    invalid_loss='StopOnInvalidLossHook',
)
COMMON_HOOKS = dict(collect='CollectInWorkDirHook', release_memory='ReleaseMemoryHook', progress_bar='ProgressBarHook')
"""Hooks of training and testing. The keys are names in ``default_hooks``."""

RUNS_CHECKPOINT = re.compile(rf'(epoch|iter)_\d+\.pth|{BEST}.+\.pth|{re.escape(INTERRUPTED)}')
"""Names that a run gives to its checkpoints."""

LOCK_FILE = '.lock'
"""File in the work folder, locked by the run that writes there and modified when that run began."""


def add_hooks(config: Config, hooks: dict[str, str]) -> None:
    """Add hooks by name and type to ``default_hooks``, unless the config sets them."""
    given = config.setdefault('default_hooks', {})
    for name, hook_type in hooks.items():
        given.setdefault(name, dict(type=hook_type))


def prepare_training(config: Config) -> None:
    """Add what every training run of this suite has: exact resuming, samples with their own random numbers, a stop at
    signals and invalid losses, merged parameter groups, and data-loading processes that end with the run.
    """
    add_hooks(config, TRAINING_HOOKS | COMMON_HOOKS)
    if config.optim_wrapper.get('paramwise_cfg'):
        config.optim_wrapper.setdefault('constructor', 'GroupedOptimWrapperConstructor')
    logger = (config.get('default_hooks') or {}).get('logger')
    if logger and (length := config.train_cfg.get('max_iters')) and logger.get('interval', 0) > length:
        # A run shorter than the interval would leave no losses in the log.
        logger.interval = max(1, length // 10)
    loader = config.train_dataloader
    seed_samples(loader)
    if loader.get('num_workers'):
        loader.setdefault('worker_init_fn', dict(type='end_with_parent'))
    if torch.cuda.is_available():
        # Copies to a GPU are faster from pinned memory.
        loader.setdefault('pin_memory', True)


@contextlib.contextmanager
def locked_work_dir(folder: str) -> Iterator[None]:
    """Lock a work folder against a second run, which would write the same files.

    Raises:
        UserError: if another run uses the folder, or it can't be written.
    """
    if int(os.environ.get('RANK', 0)) > 0:
        yield
        return
    with write_errors_explained(folder, '--work-dir'):
        os.makedirs(folder, exist_ok=True)
        lock = open(os.path.join(folder, LOCK_FILE), 'a')  # noqa: SIM115  (held as long as the run)
    with lock:
        try:
            # The system releases the lock however the process ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"Another run is writing to '{folder}'; wait until it ends, or give this one its own --work-dir."
            ) from error
        if not restarted():
            os.utime(lock.fileno())
        yield


def begin_folder(config: Config, overwrite: bool) -> list[Path]:
    """Check that a run that begins anew replaces no earlier one.

    Args:
        config: With ``work_dir``.
        overwrite: Whether an earlier run may be replaced.

    Returns:
        The files to remove when training begins.

    Raises:
        UserError: if there are checkpoints of an earlier run and ``overwrite`` is not set, or the new run starts from
            one of them.
    """
    folders = checkpoint_folders(Path(config.work_dir))
    inside = [path for folder in folders for path in sorted(folder.glob('*.pth'))]
    newest = Path(last_named(folders[0])).name
    earlier = [path for path in inside if path.name == newest or RUNS_CHECKPOINT.fullmatch(path.name)]
    if not earlier or restarted():
        return []
    if not overwrite:
        # That a run is still going on there is the better reason.
        with locked_work_dir(config.work_dir):
            pass
        raise UserError(
            f"'{config.work_dir}' holds an earlier run ({first_few([path.name for path in earlier])}); go on with it "
            'by --resume, replace its checkpoints by --overwrite, or give this run a folder of its own by --work-dir.'
        )
    starts = [config.get('load_from'), *(part.get('checkpoint') for part in dicts_in(config.get('model')))]
    for start in (Path(start).expanduser() for start in starts if isinstance(start, str)):
        if start.exists() and any(path.samefile(start) for path in earlier):
            raise UserError(
                f"The run starts from '{start}', which --overwrite would remove; move that file, or give this run a "
                'folder of its own by --work-dir.'
            )
    return [*earlier, *folders[0].glob(LAST)]


def restarted() -> bool:
    """Whether torchrun has restarted this process after a failure (``--max-restarts``)."""
    return int(os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)) > 0


@contextlib.contextmanager
def write_errors_explained(path: str, option: str) -> Iterator[None]:
    """Turn an ``OSError`` inside into a sentence that a file or folder can't be written.

    Raises:
        UserError: naming the path and the option that sets it.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"'{path}' can't be written ({error.strerror}); set {option} to another path.") from error


def build_runner(config: Config) -> Runner:
    """Build the runner of the config's ``runner_type``, by default mmengine's ``Runner``.

    Raises:
        UserError: for a ``strategy`` without ``runner_type='FlexibleRunner'``, the only runner that supports it.
    """
    load_data_only()
    if 'runner_type' in config:
        return RUNNERS.build(config)
    if config.get('strategy') is not None:
        raise UserError(
            "The config sets 'strategy', which mmengine's default runner would ignore; add "
            "runner_type = 'FlexibleRunner' to it, or remove strategy."
        )
    return Runner.from_cfg(config)
