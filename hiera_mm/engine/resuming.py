"""Which checkpoint a run goes on from, and what of the config takes effect then."""

import re
from collections.abc import Iterator
from pathlib import Path

from hiera_mm.engine.parameter_groups import regroup
from hiera_mm.engine.running import LOCK, restarted
from hiera_mm.engine.saving import INTERRUPTED, LAST
from hiera_mm.errors import UserError, first_few
from hiera_mm.weights.files import Checkpoint, DamagedFile, read_checkpoint

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

NEEDED = ('meta', 'state_dict', 'optimizer', 'message_hub')
"""What a checkpoint has beyond weights that a run can go on from."""

POSITIONS = ('last_step', '_last_value', '_global_step', 'base_values', 'verbose')
"""Of a schedule's state: where it is, not what it is."""


def resume(config: Config, asked: str | None) -> str:
    """Set where a run begins: at a checkpoint or at the beginning.

    Processes that torchrun restarts go on from what this run has saved, whatever was asked for.

    Args:
        config: Of the run.
        asked: A checkpoint; ``'auto'`` (``--resume`` alone) for the newest whole one in the work folder, where damaged
            ones are named and passed over, and without any the run starts from the beginning and says so; None for what
            the config says by ``resume`` and ``load_from``.

    Returns:
        Where it begins, in words.

    Raises:
        UserError: if the checkpoint does not exist or no run can go on from it, or none in the folder is whole.
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
    _must_hold_a_run(found)
    config.resume, config.load_from = True, found.source
    # The checkpoint holds the backbone too, so nothing has to be fetched first.
    config.model.backbone.init_cfg = None
    # Before the samplers are built, which shuffle by it.
    meta = found['meta']
    if isinstance(meta.get('seed'), int):
        config.randomness = dict(config.get('randomness') or {}, seed=meta['seed'])
    return f'goes on from iteration {meta["iter"]} of {meta.get("experiment_name")}, saved at {meta.get("time")}'


def _checkpoint(config: Config, asked: str | None) -> Checkpoint | None:
    if asked == 'auto':
        return newest(config)
    begun = Path(config.work_dir, LOCK)
    if restarted() and begun.exists():
        # Older ones in the folder are another run's.
        found = newest(config, since=begun.stat().st_mtime)
        if found is not None:
            return found
    return read_checkpoint(asked) if asked else None


def newest(config: Config, since: float = 0) -> Checkpoint | None:
    """The checkpoint of the most iterations in the work folder that was written since a time; None if there is none.

    Raises:
        UserError: if there are some, but none that is whole.
    """
    damaged, whole = [], []
    for kind in _by_kind(config):
        for path in (path for path in kind if path.stat().st_mtime >= since):
            try:
                whole.append(read_checkpoint(str(path)))
                break
            except DamagedFile as error:
                damaged.append(path.name)
                print_log(f'Passed over: {error}', 'current', 30)
    if not whole and damaged:
        raise UserError(
            f"None of the checkpoints in '{config.work_dir}' is whole ({', '.join(damaged)}); remove them to start "
            'from the beginning, or give another one: --resume CHECKPOINT.'
        )
    return max(whole, key=lambda found: found.get('meta', {}).get('iter', 0), default=None)


def _by_kind(config: Config) -> Iterator[list[Path]]:
    """Checkpoints of epochs, of iterations, and of an interruption, the newest of each kind first."""
    folder = Path(config.work_dir)
    named = Path(folder, LAST).read_text().strip() if Path(folder, LAST).is_file() else ''
    # Checkpoints may be in another folder (CheckpointHook's out_dir), which the file names.
    folders = {folder, *([Path(named).parent] if named and Path(named).is_file() and not _moved(folder, named) else [])}
    for pattern in (r'epoch_(\d+)\.pth', r'iter_(\d+)\.pth', re.escape(INTERRUPTED) + '()'):
        numbered = [
            (int(found[1] or 0), path)
            for place in folders
            for path in (place.glob('*.pth') if place.is_dir() else ())
            if (found := re.fullmatch(pattern, path.name))
        ]
        yield [path for _, path in sorted(numbered, reverse=True)]


def _moved(folder: Path, named: str) -> bool:
    """Whether a work folder holds the checkpoint that it says lies elsewhere, as a copy does."""
    return Path(folder, Path(named).name).is_file()


def _must_hold_a_run(checkpoint: Checkpoint) -> None:
    missing = [key for key in NEEDED if key not in checkpoint]
    meta = checkpoint.get('meta')
    if missing or not isinstance(meta, dict) or not {'epoch', 'iter'} <= meta.keys():
        raise UserError(
            f"The checkpoint '{checkpoint.source}' holds weights, but not the state of a run to resume "
            f'({", ".join(missing) or "epoch and iter in meta"} is missing); to start from its weights use '
            f'--cfg-options load_from={checkpoint.source} instead of --resume.'
        )


@HOOKS.register_module()
class ResumeHook(Hook):
    """Of a resumed run: says what the config changes.

    The learning rate of the config takes effect: the state's rates are scaled to it, and the schedule goes on from
    there. The schedule stays the checkpoint's.

    Raises:
        UserError: for an optimizer with other groups of parameters than the checkpoint's.
    """

    # After the hook that makes the checkpoint fit the model.
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
                'raise the length of the run in the config to go on.'
            )


def _use_learning_rate(runner: Runner, checkpoint: dict) -> None:
    groups = runner.optim_wrapper.optimizer.param_groups
    saved = checkpoint['optimizer'].get('param_groups', [])
    sizes = [[len(group['params']) for group in some] for some in (groups, saved)]
    if sizes[0] != sizes[1]:
        raise UserError(
            f'The optimizer has {len(groups)} groups of parameters, but that of the checkpoint to resume has '
            f'{len(saved)}, or they have other sizes, as when other stages are frozen; resume with the settings of the '
            'first run, or start from the weights alone: --cfg-options load_from=CHECKPOINT.'
        )
    wanted = [group.get('initial_lr', group['lr']) for group in groups]
    before = [group.get('initial_lr', group['lr']) for group in saved]
    ratios = [new / old if old else 1.0 for new, old in zip(wanted, before, strict=True)]
    if not runner.param_schedulers:
        # Without a schedule nothing would lead the rate from where the checkpoint's stood to the config's.
        for group, old in zip(saved, before, strict=True):
            group['lr'] = old
    if all(abs(ratio - 1) < 1e-6 for ratio in ratios):
        return
    # mmengine keeps one more group, of the settings that others are made from, for the log.
    of_the_log = checkpoint['optimizer'].get('base_param_settings')
    saved, ratios = [*saved, *([of_the_log] if of_the_log else [])], [*ratios, ratios[0]]
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
    # Without a schedule in the config none goes on.
    if not built or not isinstance(built, list) or not isinstance(saved, list):
        return
    now, then = ([_without_position(state) for state in states] for states in ([s.state_dict() for s in built], saved))
    if now == then:
        return
    different = [
        f'{key} is {old.get(key)} there and {new.get(key)} in the config'
        for old, new in zip(then, now, strict=False)
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]
    runner.logger.warning(
        'The schedule of the config (param_scheduler) differs from that of the checkpoint, which goes on: '
        f'{first_few(different) or f"{len(then)} schedules there and {len(now)} in the config"}. For another one start '
        'from the weights alone: --cfg-options load_from=CHECKPOINT.'
    )


def _without_position(state: dict) -> dict:
    return {key: value for key, value in state.items() if key not in POSITIONS}
