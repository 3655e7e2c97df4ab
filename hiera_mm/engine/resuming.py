"""Finds the checkpoint to resume from, and applies the config's changes to the resumed state."""

import re
from collections.abc import Iterator
from pathlib import Path

from hiera_mm.engine.parameter_groups import regroup
from hiera_mm.engine.running import LOCK_FILE, restarted
from hiera_mm.engine.saving import INTERRUPTED, checkpoint_folders
from hiera_mm.errors import UserError, first_few
from hiera_mm.weights.files import Checkpoint, DamagedFile, read_checkpoint

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

REQUIRED_KEYS = ('meta', 'state_dict', 'optimizer', 'message_hub')
"""Keys that a checkpoint needs for resuming."""

SCHEDULE_PROGRESS_KEYS = ('last_step', '_last_value', '_global_step', 'base_values', 'verbose')
"""Keys of a schedule's state that say how far it is, not which schedule it is."""


def resume(config: Config, asked: str | None) -> str:
    """Set whether a run resumes from a checkpoint or starts from the beginning.

    Processes that torchrun restarts resume from what this run has saved, whatever ``asked`` says.

    Args:
        config: The config of the run; it is changed.
        asked: A checkpoint; ``'auto'`` (``--resume`` alone) for the newest intact one in the work folder, skipping
            damaged ones with a warning, or the beginning if there is none; None to follow ``resume`` and ``load_from``
            of the config.

    Returns:
        Where it begins, in words.

    Raises:
        UserError: if the checkpoint does not exist or can't be resumed from, or all in the folder are damaged.
    """
    if asked is None and config.get('resume'):
        asked = config.get('load_from') or 'auto'
    found = _checkpoint(config, asked)
    if found is None:
        if asked == 'auto':
            config.load_from = None
            print_log(
                f"There is no checkpoint in '{config.work_dir}': training starts from the beginning.", 'current', 30
            )
        config.resume = False
        return 'starts from the beginning'
    _check_resumable(found)
    config.resume, config.load_from = True, found.source
    # The checkpoint contains the backbone, so nothing needs to be downloaded.
    config.model.backbone.init_cfg = None
    # Set before the samplers are built, which shuffle by the seed.
    meta = found['meta']
    if isinstance(meta.get('seed'), int):
        config.randomness = dict(config.get('randomness') or {}, seed=meta['seed'])
    return f'resumes from iteration {meta["iter"]} of {meta.get("experiment_name")}, saved at {meta.get("time")}'


def _checkpoint(config: Config, asked: str | None) -> Checkpoint | None:
    if asked == 'auto':
        return newest(config)
    begun = Path(config.work_dir, LOCK_FILE)
    if restarted() and begun.exists():
        # Older checkpoints in the folder belong to another run.
        found = newest(config, since=begun.stat().st_mtime)
        if found is not None:
            return found
    return read_checkpoint(asked) if asked else None


def newest(config: Config, since: float = 0) -> Checkpoint | None:
    """The checkpoint with the most iterations in the work folder written after ``since``; None without any.

    Raises:
        UserError: if all of them are damaged.
    """
    damaged, whole = [], []
    for paths in _by_naming(config):
        for path in (path for path in paths if path.stat().st_mtime >= since):
            try:
                whole.append(read_checkpoint(str(path)))
                break
            except DamagedFile as error:
                damaged.append(path.name)
                print_log(f'Skipped: {error}', 'current', 30)
    if not whole and damaged:
        raise UserError(
            f"All checkpoints in '{config.work_dir}' are damaged ({', '.join(damaged)}); remove them to start from "
            'the beginning, or name another one: --resume CHECKPOINT.'
        )
    return max(whole, key=lambda found: found.get('meta', {}).get('iter', 0), default=None)


def _by_naming(config: Config) -> Iterator[list[Path]]:
    """Lists of the checkpoints of epochs, of iterations, and of an interruption, each with the newest first."""
    folders = checkpoint_folders(Path(config.work_dir))
    for pattern in (r'epoch_(\d+)\.pth', r'iter_(\d+)\.pth', re.escape(INTERRUPTED) + '()'):
        numbered = [
            (int(found[1] or 0), path)
            for place in folders
            for path in (place.glob('*.pth') if place.is_dir() else ())
            if (found := re.fullmatch(pattern, path.name))
        ]
        yield [path for _, path in sorted(numbered, reverse=True)]


def _check_resumable(checkpoint: Checkpoint) -> None:
    missing = [key for key in REQUIRED_KEYS if key not in checkpoint]
    meta = checkpoint.get('meta')
    if missing or not isinstance(meta, dict) or not {'epoch', 'iter'} <= meta.keys():
        raise UserError(
            f"The checkpoint '{checkpoint.source}' has weights, but not the state of a run to resume "
            f'({", ".join(missing) or "epoch and iter in meta"} is missing); to start from its weights use '
            f'--cfg-options load_from={checkpoint.source} instead of --resume.'
        )


@HOOKS.register_module()
class ResumeHook(Hook):
    """Applies and logs what the config changes in a resumed run.

    The config's learning rate takes effect: the rates of the checkpoint are scaled to it. The schedule remains the
    checkpoint's.

    Raises:
        UserError: for an optimizer whose parameter groups differ from the checkpoint's.
    """

    # After the hook that fits the checkpoint to the model.
    priority = 'LOW'

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        groups = runner.optim_wrapper.optimizer.param_groups
        schedules = [state for state in checkpoint.get('param_schedulers') or () if isinstance(state, dict)]
        regroup(checkpoint['optimizer'], schedules, groups, list(runner.model.parameters()))
        _use_learning_rate(runner, checkpoint)
        _compare_schedules(runner, checkpoint)

    def before_train(self, runner: Runner) -> None:
        done, most = (runner.iter, runner.max_iters) if runner.max_iters else (runner.epoch, runner.max_epochs)
        if done >= most:
            runner.logger.warning(
                f'The checkpoint has {runner.iter} iterations of {runner.max_iters}, so nothing is left to train; '
                'make the run longer in the config to continue.'
            )


def _use_learning_rate(runner: Runner, checkpoint: dict) -> None:
    groups = runner.optim_wrapper.optimizer.param_groups
    saved = checkpoint['optimizer'].get('param_groups', [])
    sizes = [[len(group['params']) for group in each] for each in (groups, saved)]
    if sizes[0] != sizes[1]:
        raise UserError(
            f'The optimizer has {len(groups)} parameter groups, but the checkpoint to resume has {len(saved)}, or '
            'groups of other sizes, as when other stages are frozen; resume with the settings of the first run, or '
            'start from the weights alone: --cfg-options load_from=CHECKPOINT.'
        )
    wanted = [group.get('initial_lr', group['lr']) for group in groups]
    before = [group.get('initial_lr', group['lr']) for group in saved]
    ratios = [new / old if old else 1.0 for new, old in zip(wanted, before, strict=True)]
    if not runner.param_schedulers:
        # Without a schedule nothing else would set the rate to the config's.
        for group, old in zip(saved, before, strict=True):
            group['lr'] = old
    if all(abs(ratio - 1) < 1e-6 for ratio in ratios):
        return
    # mmengine keeps one more group for the log, with the base settings.
    log_group = checkpoint['optimizer'].get('base_param_settings')
    saved, ratios = [*saved, *([log_group] if log_group else [])], [*ratios, ratios[0]]
    for group, ratio in zip(saved, ratios, strict=False):
        group.update({key: group[key] * ratio for key in ('lr', 'initial_lr') if key in group})
    for state in checkpoint.get('param_schedulers') or ():
        if state.get('param_name') == 'lr':
            for key in ('base_values', '_last_value'):
                if key in state:
                    state[key] = [value * ratio for value, ratio in zip(state[key], ratios, strict=False)]
    runner.logger.warning(
        f"The learning rate of the config differs from the checkpoint's and takes effect: {max(before):g} becomes "
        f'{max(wanted):g}.'
    )


def _compare_schedules(runner: Runner, checkpoint: dict) -> None:
    built, saved = runner.param_schedulers, checkpoint.get('param_schedulers')
    # Without a schedule in the config, the checkpoint's is not used.
    if not built or not isinstance(built, list) or not isinstance(saved, list):
        return
    now, then = ([_without_progress(state) for state in states] for states in ([s.state_dict() for s in built], saved))
    if now == then:
        return
    different = [
        f'{key} is {old.get(key)} there and {new.get(key)} in the config'
        for old, new in zip(then, now, strict=False)
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    runner.logger.warning(
        "The schedule of the config (param_scheduler) differs from the checkpoint's, which stays in effect: "
        f'{first_few(different) or f"{len(then)} schedules there and {len(now)} in the config"}. For another one start '
        'from the weights alone: --cfg-options load_from=CHECKPOINT.'
    )


def _without_progress(state: dict) -> dict:
    return {key: value for key, value in state.items() if key not in SCHEDULE_PROGRESS_KEYS}
