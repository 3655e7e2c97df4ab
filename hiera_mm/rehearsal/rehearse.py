"""Rehearses a config: short training, resuming, validation and testing with its own settings."""

import contextlib
import copy
import gc
import pickle
from collections.abc import Iterator
from pathlib import Path

from hiera_mm.checks.fault import Severity
from hiera_mm.checks.run import LOADERS, faults_of
from hiera_mm.config import dicts_in
from hiera_mm.engine.saving import named_last
from hiera_mm.engine.testing import prepare_test, run_with_predictions
from hiera_mm.errors import UserError
from hiera_mm.program import command_line
from hiera_mm.rehearsal import stand_in
from hiera_mm.rehearsal.few_samples import keep_few_samples
from hiera_mm.rehearsal.hooks import (
    FIRST_ITERATIONS,
    DueHook,
    EndHook,
    EndlessHook,
    EnterHook,
    FirstIterationsDone,
    Start,
    StartHook,
)
from hiera_mm.rehearsal.schedule import WholeEpochs
from hiera_mm.rehearsal.stages import Stage, Stages
from hiera_mm.rehearsal.tiny import RehearsedTask, shrink_images, shrink_model
from hiera_mm.weights.files import locate_checkpoint, read_checkpoint
from hiera_mm.weights.zoo import ZOO

from mmengine.config import Config, ConfigDict
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner
from mmengine.visualization import Visualizer

CHECKED_FILES = 20
"""Videos or images that the first stage decodes for each data set."""

STAND_IN_EPOCH = 100
"""Assumed iterations per epoch if the data are missing."""

REMOTE_BACKENDS = ('Aim', 'ClearML', 'DVCLive', 'MLflow', 'Neptune', 'Wandb')
"""Prefixes of visualiser types that would start a run at an online service."""


def rehearse(
    config: Config, task: RehearsedTask, folder: str | Path, tiny: bool = False, size: int | None = None
) -> list[Stage]:
    """Go through every stage of a config's run once.

    Everything is taken from the config: loaders with their batches and workers, pipelines, samplers, hooks, evaluators,
    views, optimizer and schedule. Each data set is reduced to one full batch and the last batch. Training runs its
    first two iterations, is resumed from there, and then jumps to its end with what is due there: validation,
    checkpoints, the best checkpoint. Then the last checkpoint is tested. Score thresholds (``score_thr``) are set to 0,
    so that untrained detectors find something to score.

    Args:
        config: The config of the run; it is not changed.
        task: Its task.
        folder: Output folder of the rehearsal.
        tiny: Reduce width and depth of the backbone, and of a masked autoencoder's decoder.
        size: Longest side of images in pixels; larger ones of the config are reduced to it.

    Returns:
        All stages, also those that were not reached.
    """
    stages, folder = Stages(), Path(folder).absolute()
    # Formatting a config as code takes seconds, which would be counted for each checkpoint.
    config = Config(copy.deepcopy(config.to_dict()), filename=config.filename, format_python_code=False)
    _redirect_output(config, folder, stages)
    with stages.watched(), DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmengine')):
        uses_stand_in = stand_in.can_stand_in(config, task)
        with stages.part('data'):
            if uses_stand_in:
                stand_in.draw(config, task, folder / 'data')
                stages.say(
                    'data', 'no file that the config names exists, so generated data in its format are used instead'
                )
            _check_data(config, task)
        with stages.part('weights'):
            _find_weights(config, stages, tiny)
        if tiny or stages.by_name['weights'].outcome == 'failed':
            # Continue without weights, to find other faults.
            config.load_from = None
            _drop_weights(config.model)
        if tiny:
            shrink_model(config, task)
        if size:
            shrink_images(config, task, size)
        for part in dicts_in(config.model.get('test_cfg')):
            if 'score_thr' in part:
                part.score_thr = 0.0
        for loader in _loaders(config):
            # An iteration-based loop ends by count, and its sampler may need the whole set.
            if loader != 'train_dataloader' or 'Iter' not in config.train_cfg.get('type', ''):
                keep_few_samples(config[loader], STAND_IN_EPOCH if uses_stand_in else None)
        checkpoint = _train(config, folder, stages)
        if checkpoint and config.get('test_dataloader') is not None:
            _test(config, task, checkpoint, folder, stages)
    for loader, names in dict(
        val_dataloader=('validation', 'best checkpoint'), test_dataloader=('test', 'prediction file')
    ).items():
        for name in names if config.get(loader) is None else ():
            stages.leave_out(name, f'the config has no {loader}')
    return list(stages.by_name.values())


def _loaders(config: Config) -> list[str]:
    return [loader for loader in LOADERS if config.get(loader) is not None]


def _redirect_output(config: Config, folder: Path, stages: Stages) -> None:
    """Redirect all output of the config to ``folder``, and remove visualisers that send data to a service."""
    config.work_dir, config.resume = str(folder / 'run'), False
    writers = ('default_hooks', 'custom_hooks', 'visualizer', 'val_evaluator', 'test_evaluator')
    for part in dicts_in([config.get(key) for key in writers]):
        # None stands for the work folder.
        part.update({key: None for key in ('out_dir', 'save_dir') if part.get(key)})
        if part.get('test_out_dir'):
            part.test_out_dir = Path(part.test_out_dir).name
        for key in ('outfile_prefix', 'out_file_path'):
            if part.get(key):
                part[key] = str(folder / 'predictions' / Path(part[key]).name)
    backends = (config.get('visualizer') or {}).get('vis_backends') or []
    remote = [backend.type for backend in backends if backend.type.rpartition('.')[2].startswith(REMOTE_BACKENDS)]
    if remote:
        config.visualizer.vis_backends = [backend for backend in backends if backend.type not in remote]
        stages.say('model', f'{", ".join(remote)} left out, so as not to open a run there')


def _check_data(config: Config, task: RehearsedTask) -> None:
    faults = []
    for fault in faults_of(config, task, count=CHECKED_FILES):
        if fault.severity is Severity.BLOCKS:
            raise UserError(fault.sentence)
        if fault.severity is Severity.FAULT:
            faults.append(fault.sentence)
    if faults:
        more = f' ({len(faults) - 1} more: {command_line("check-data")} lists them all)' if len(faults) > 1 else ''
        raise UserError(faults[0] + more)


def _find_weights(config: Config, stages: Stages, tiny: bool) -> None:
    sources = [part.get('checkpoint') for part in dicts_in(config.model) if part.get('type') == 'Pretrained']
    for source in filter(None, [*sources, config.get('load_from')]):
        origin = _config_that_trains(source, config)
        if tiny and origin and not Path(source).is_file():
            stages.say('weights', f"'{source}' does not exist yet: train {origin} before this run")
            continue
        to_download = source in ZOO or source.startswith(('http://', 'https://'))
        # Object stores and names of other packages are left to mmengine.
        checked = not tiny if to_download else '://' not in source
        if checked:
            locate_checkpoint(source)
        found = 'found' if checked else 'not checked'
        stages.say('weights', f"'{source}' {found}{' but not loaded, as it does not fit a tiny model' if tiny else ''}")


def _config_that_trains(source: str, config: Config) -> Path | None:
    """The config next to this one whose work folder contains the checkpoint."""
    folders = Path(source).parts[:-1]
    if not config.filename or folders[:1] != ('work_dirs',) or len(folders) != 2:
        return None
    origin = Path(config.filename).with_name(f'{folders[1]}.py')
    return origin if origin.is_file() else None


def _drop_weights(model: ConfigDict) -> None:
    for part in dicts_in(model):
        if isinstance(part.get('init_cfg'), dict) and part.init_cfg.get('type') == 'Pretrained':
            part.init_cfg = None


def _train(config: Config, folder: Path, stages: Stages) -> str | None:
    """Train the first and the last iterations; returns the last checkpoint."""
    due = dict(after_train_iter='checkpoint', after_train_epoch='checkpoint', after_val_epoch='best checkpoint')
    after = 'first iterations' if _is_short(config.train_cfg) else 'last iterations'
    back = dict.fromkeys(('after_train_iter', 'after_train_epoch', 'after_val'), after)
    entering = [
        EnterHook(stages, 'HIGHEST', before_val='validation'),
        EnterHook(stages, 'LOW', **due),
        EnterHook(stages, 'LOWEST', **back),
        DueHook(stages),
    ]
    start = Start(folder / 'start.pth')
    if _is_short(config.train_cfg):
        return _train_whole(config, entering, stages)
    with stages.part('model'):
        enter = EnterHook(stages, 'LOWEST', before_run='weights', before_train='first iterations')
        runner = _runner(config, enter, StartHook(stages, start))
        stages.enter('loaders and schedule')
        with contextlib.suppress(FirstIterationsDone), _workers_closed(runner):
            runner.train()
        # So that its memory does not count for the following stages.
        del runner
    if not start.checkpoint.is_file():
        return None
    with stages.part('resume'):
        resumed = copy.deepcopy(config)
        resumed.resume, resumed.load_from = True, str(start.checkpoint)
        _drop_weights(resumed.model)
        runner = _runner(resumed, EndHook(stages, start), *entering)
        with _workers_closed(runner):
            runner.train()
        _check_checkpoints(runner, stages)
    last = named_last(config.work_dir)
    return last if last and Path(last).is_file() else str(start.checkpoint)


def _is_short(loop: ConfigDict) -> bool:
    """Whether a run is over after its first iterations."""
    return loop.get('max_epochs') == 1 or loop.get('max_iters') in range(1, FIRST_ITERATIONS + 1)


def _train_whole(config: Config, entering: list[Hook], stages: Stages) -> str | None:
    """Train a run that is too short to be resumed; returns its last checkpoint."""
    for name in ('resume', 'last iterations'):
        stages.leave_out(name, 'the run is over after its first iterations')
    with stages.part('model'):
        enter = EnterHook(stages, 'LOWEST', before_run='weights', before_train='first iterations')
        runner = _runner(config, enter, *entering)
        stages.enter('loaders and schedule')
        with _workers_closed(runner):
            runner.train()
        _check_checkpoints(runner, stages)
    return named_last(config.work_dir)


def _check_checkpoints(runner: Runner, stages: Stages) -> None:
    """Check the checkpoints that the run should have saved."""
    stages.enter('checkpoint')
    last = named_last(runner.work_dir)
    if last is None:
        raise UserError('The run ended without a checkpoint; see default_hooks.checkpoint and its save_last.')
    held = read_checkpoint(last)['meta']
    if held['iter'] != runner.iter:
        raise UserError(
            f"The last checkpoint '{Path(last).name}' is from iteration {held['iter']}, but the run ended at "
            f'{runner.iter}; see default_hooks.checkpoint and its save_last.'
        )
    stages.say('checkpoint', f'{Path(last).name}, {Path(last).stat().st_size / 2**20:.0f} MiB')
    if stages.by_name['validation'].outcome != 'passed':
        return
    stages.enter('best checkpoint')
    kept = [name for hook in runner.hooks if isinstance(hook, CheckpointHook) for name in hook.save_best or ()]
    best = sorted(Path(runner.work_dir).glob('best_*.pth'))
    if kept and not best:
        raise UserError(
            f"save_best='{kept[0]}' kept nothing; take another metric of the evaluators as "
            f'default_hooks.checkpoint.save_best, or set its rule.'
        )
    stages.say('best checkpoint', ', '.join(path.name for path in best) or 'none is saved (save_best is not set)')


def _test(config: Config, task: RehearsedTask, checkpoint: str, folder: Path, stages: Stages) -> None:
    with stages.part('test'):
        tested = copy.deepcopy(config)
        prepare_test(tested, checkpoint)
        runner, out = _runner(tested), folder / 'predictions.pkl'
        with _workers_closed(runner):
            metrics = run_with_predictions(runner, task.dump, str(out))
        shown = [f'{name} {value:.4g}' for name, value in list(metrics.items())[:3]]
        stages.say('test', ', '.join(shown) or 'nothing was predicted, so that nothing could be scored')
        stages.enter('prediction file')
        samples, written = len(runner.test_dataloader.dataset), len(pickle.loads(out.read_bytes()))
        if written != samples:
            raise UserError(f'{samples} samples were tested, but there are {written} predictions; see test_dataloader.')
        stages.say('prediction file', f'{written} predictions, one per sample')


@contextlib.contextmanager
def _workers_closed(runner: Runner) -> Iterator[None]:
    """End the workers of a runner's loaders. The garbage collector may close their queues first and then waits five
    seconds for each.
    """
    try:
        yield
    finally:
        for loop in (runner._train_loop, runner._val_loop, runner._test_loop):
            if isinstance(loop, BaseLoop):
                loop.dataloader._iterator = None
            if isinstance(loop, IterBasedTrainLoop):
                loop.dataloader_iterator = None


def _runner(config: Config, *hooks: Hook) -> WholeEpochs:
    # Free the memory of the previous runner.
    gc.collect()
    for manager in (MMLogger, MessageHub, Visualizer):
        manager._instance_dict.clear()
    runner = WholeEpochs.from_cfg(config)
    for hook in (*hooks, EndlessHook()):
        runner.register_hook(hook, priority=hook.priority)
    return runner
