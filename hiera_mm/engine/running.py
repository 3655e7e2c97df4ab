"""The runner of a config, and the folder it writes to."""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from hiera_mm.engine.load_from import read_nothing_but_data
from hiera_mm.engine.random_states import seed_samples
from hiera_mm.errors import UserError

import torch
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

HOOKS_OF_TRAINING = dict(
    random_states='RandomStateHook',
    resume='ResumeHook',
    stop_on_signal='StopOnSignalHook',
    invalid_loss='StopOnInvalidLossHook',
)
HOOKS_OF_EVERY_RUN = dict(
    collect='CollectInWorkDirHook', release_memory='ReleaseMemoryHook', progress_bar='ProgressBarHook'
)
"""Of training and of testing; both by their names in ``default_hooks``."""

LOCK = '.lock'
"""In the work folder, held by the run that writes there, and as old as that run."""


def add_hooks(config: Config, hooks: dict[str, str]) -> None:
    """Add hooks by name and type to ``default_hooks``, where the config doesn't set them otherwise."""
    given = config.setdefault('default_hooks', {})
    for name, kind in hooks.items():
        given.setdefault(name, dict(type=kind))


def prepare_training(config: Config) -> None:
    """What every training run of this suite has, whatever its config lists as hooks: exact resuming, samples that draw
    random numbers of their own, a stop at signals and at invalid losses, few groups of parameters, and no process left
    behind.
    """
    add_hooks(config, HOOKS_OF_TRAINING | HOOKS_OF_EVERY_RUN)
    if config.optim_wrapper.get('paramwise_cfg'):
        config.optim_wrapper.setdefault('constructor', 'GroupedOptimWrapperConstructor')
    loader = config.train_dataloader
    seed_samples(loader)
    if loader.get('num_workers'):
        loader.setdefault('worker_init_fn', dict(type='end_with_parent'))
    if torch.cuda.is_available():
        # From memory that the system can't move copies to a GPU are faster.
        loader.setdefault('pin_memory', True)


@contextlib.contextmanager
def only_run_in(folder: str) -> Iterator[None]:
    """Keep a second run out of a work folder, where both would write the same files, as long as this one lives.

    Raises:
        UserError: if another run is in the folder, or it can't be written.
    """
    if int(os.environ.get('RANK', 0)) > 0:
        yield
        return
    with written(folder, '--work-dir'):
        os.makedirs(folder, exist_ok=True)
        lock = open(os.path.join(folder, LOCK), 'a')  # noqa: SIM115  (held as long as the run)
    with lock:
        try:
            # The system lets go of it however the process ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"Another run is writing to '{folder}'; wait until it ends, or give this one its own --work-dir."
            ) from error
        if not restarted():
            os.utime(lock.fileno())
        yield


def restarted() -> bool:
    """Whether torchrun has started this process again after a fault in one (``--max-restarts``)."""
    return int(os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)) > 0


@contextlib.contextmanager
def written(path: str, option: str) -> Iterator[None]:
    """Say in a sentence that a place can't be written.

    Raises:
        UserError: naming the place and the option that sets it.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"'{path}' can't be written ({error.strerror}); set {option} to another place.") from error


def build_runner(config: Config) -> Runner:
    """The runner that the config names by ``runner_type``, mmengine's ``Runner`` by default.

    Raises:
        UserError: for a ``strategy``, which only ``FlexibleRunner`` knows, without that ``runner_type``.
    """
    read_nothing_but_data()
    if 'runner_type' in config:
        return RUNNERS.build(config)
    if config.get('strategy') is not None:
        raise UserError(
            "The config sets 'strategy', which mmengine's default runner would ignore; add "
            "runner_type = 'FlexibleRunner' to it, or remove strategy."
        )
    return Runner.from_cfg(config)
