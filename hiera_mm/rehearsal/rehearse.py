"""The rehearsal: a config goes through training, resuming, validation and testing, as it is but for how long."""

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
from hiera_mm.rehearsal.few_samples import cut
from hiera_mm.rehearsal.hooks import EndHook, EndlessHook, Enough, EnterHook, Start, StartHook
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

FILES_LOOKED_AT = 20
"""Videos or images of each data set that the first stage decodes."""

STAND_IN_EPOCH = 100
"""Iterations of an epoch of data that are not there."""

REMOTE_BACKENDS = ('Aim', 'ClearML', 'DVCLive', 'MLflow', 'Neptune', 'Wandb')
"""Beginnings of the visualisers' types that would open a run at a service."""


def rehearse(
    config: Config, task: RehearsedTask, folder: str | Path, tiny: bool = False, size: int | None = None
) -> list[Stage]:
    """Go through every stage of a config's run once.

    Everything is the config's own: loaders with their batches and workers, pipelines, samplers, hooks, evaluators,
    views, optimizer and schedule. Of each data set one whole batch and the last batch are taken. Training goes through
    its first two iterations, is resumed from there, and then jumps to its end with what is due there: validation,
    checkpoints, the best checkpoint. Then the last checkpoint is tested. So that untrained detectors find something
    that can be scored, scores need not pass any threshold (``score_thr``).

    Args:
        config: The config of the run; it is not changed.
        task: Its task.
        folder: For all that the rehearsal writes.
        tiny: Cut the backbone down in width and depth, and a masked autoencoder's decoder.
        size: Make pictures whose longer side is this, in pixels, where the config's are larger.

    Returns:
        All stages; those that were not reached say so.
    """
    stages, folder = Stages(), Path(folder).absolute()
    # Making the text of a config pretty takes seconds, which would be counted with each checkpoint.
    config = Config(copy.deepcopy(config.to_dict()), filename=config.filename, format_python_code=False)
    _keep_inside(config, folder, stages)
    with stages.watched(), DefaultScope.overwrite_default_scope(config.get('default_scope', 'mmengine')):
        stands_in = stand_in.can_stand_in(config, task)
        with stages.part('data'):
            if stands_in:
                stand_in.draw(config, task, folder / 'data')
                stages.say(
                    'data', 'nothing that the config names exists, so generated data in its format are used instead'
                )
            _look_at_data(config, task)
        with stages.part('weights'):
            _look_for_weights(config, stages, tiny)
        if tiny or stages.by_name['weights'].outcome == 'failed':
            # Whatever else is wrong is found without them.
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
            # A loop of iterations ends when it is told to, and its sampler may ask for the whole set.
            if loader != 'train_dataloader' or 'Iter' not in config.train_cfg.get('type', ''):
                cut(config[loader], STAND_IN_EPOCH if stands_in else None)
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


def _keep_inside(config: Config, folder: Path, stages: Stages) -> None:
    """Have all that the config writes lie below ``folder``, and nothing be sent anywhere."""
    config.work_dir, config.resume = str(folder / 'run'), False
    writers = ('default_hooks', 'custom_hooks', 'visualizer', 'val_evaluator', 'test_evaluator')
    for part in dicts_in([config.get(key) for key in writers]):
        # Without them it is the work folder.
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


def _look_at_data(config: Config, task: RehearsedTask) -> None:
    faults = []
    for fault in faults_of(config, task, count=FILES_LOOKED_AT):
        if fault.severity is Severity.BLOCKS:
            raise UserError(fault.sentence)
        if fault.severity is Severity.FAULT:
            faults.append(fault.sentence)
    if faults:
        more = f' ({len(faults) - 1} more: {command_line("check-data")} lists them all)' if len(faults) > 1 else ''
        raise UserError(faults[0] + more)


def _look_for_weights(config: Config, stages: Stages, tiny: bool) -> None:
    sources = [part.get('checkpoint') for part in dicts_in(config.model) if part.get('type') == 'Pretrained']
    for source in filter(None, [*sources, config.get('load_from')]):
        maker = _maker_of(source, config)
        if tiny and maker and not Path(source).is_file():
            stages.say('weights', f"'{source}' is not there yet: before this run train {maker}")
            continue
        to_download = source in ZOO or source.startswith(('http://', 'https://'))
        # Object stores and other packages' names are mmengine's to find.
        looked_for = not tiny if to_download else '://' not in source
        if looked_for:
            locate_checkpoint(source)
        found = 'found' if looked_for else 'not looked for'
        stages.say('weights', f"'{source}' {found}{' and not loaded, as they do not fit' if tiny else ''}")


def _maker_of(source: str, config: Config) -> Path | None:
    """The config beside this one whose work folder a checkpoint is in."""
    folders = Path(source).parts[:-1]
    if not config.filename or folders[:1] != ('work_dirs',) or len(folders) != 2:
        return None
    maker = Path(config.filename).with_name(f'{folders[1]}.py')
    return maker if maker.is_file() else None


def _drop_weights(model: ConfigDict) -> None:
    for part in dicts_in(model):
        if isinstance(part.get('init_cfg'), dict) and part.init_cfg.get('type') == 'Pretrained':
            part.init_cfg = None


def _train(config: Config, folder: Path, stages: Stages) -> str | None:
    """Train the first and the last iterations; gives the last checkpoint that was written."""
    start = Start(folder / 'start.pth')
    with stages.part('model'):
        enter = EnterHook(stages, 'LOWEST', before_run='weights', before_train='first iterations')
        runner = _runner(config, enter, StartHook(stages, start))
        stages.enter('loaders and schedule')
        with contextlib.suppress(Enough), _workers_ended(runner):
            runner.train()
        # Nothing of it is to count in what follows.
        del runner
    if not start.checkpoint.is_file():
        return None
    with stages.part('resume'):
        resumed = copy.deepcopy(config)
        resumed.resume, resumed.load_from = True, str(start.checkpoint)
        _drop_weights(resumed.model)
        due = dict(after_train_iter='checkpoint', after_train_epoch='checkpoint', after_val_epoch='best checkpoint')
        back = dict.fromkeys(('after_train_iter', 'after_train_epoch', 'after_val'), 'last iterations')
        entering = [
            EnterHook(stages, 'HIGHEST', before_val='validation'),
            EnterHook(stages, 'LOW', **due),
            EnterHook(stages, 'LOWEST', **back),
        ]
        runner = _runner(resumed, EndHook(stages, start), *entering)
        with _workers_ended(runner):
            runner.train()
        _look_at_checkpoints(runner, stages)
    last = named_last(config.work_dir)
    return last if last and Path(last).is_file() else str(start.checkpoint)


def _look_at_checkpoints(runner: Runner, stages: Stages) -> None:
    """What the run should have left behind."""
    stages.enter('checkpoint')
    last = named_last(runner.work_dir)
    if last is None:
        raise UserError('The run ended without a checkpoint; see default_hooks.checkpoint and its save_last.')
    held = read_checkpoint(last)['meta']
    if held['iter'] != runner.iter:
        raise UserError(
            f"The last checkpoint '{Path(last).name}' is of iteration {held['iter']}, but the run ended at "
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
    stages.say('best checkpoint', ', '.join(path.name for path in best) or 'none is kept (save_best is not set)')


def _test(config: Config, task: RehearsedTask, checkpoint: str, folder: Path, stages: Stages) -> None:
    with stages.part('test'):
        tested = copy.deepcopy(config)
        prepare_test(tested, checkpoint)
        runner, out = _runner(tested), folder / 'predictions.pkl'
        with _workers_ended(runner):
            metrics = run_with_predictions(runner, task.dump, str(out))
        shown = [f'{name} {value:.4g}' for name, value in list(metrics.items())[:3]]
        stages.say('test', ', '.join(shown) or 'nothing was predicted, so that nothing could be scored')
        stages.enter('prediction file')
        samples, written = len(runner.test_dataloader.dataset), len(pickle.loads(out.read_bytes()))
        if written != samples:
            raise UserError(
                f'{samples} samples were tested, but the predictions are of {written}; see test_dataloader.'
            )
        stages.say('prediction file', f'{written} predictions, as many as samples')


@contextlib.contextmanager
def _workers_ended(runner: Runner) -> Iterator[None]:
    """End the workers of a runner's loaders after what it does: where the garbage collector ends them, it may have
    closed their queues before, and waits five seconds for each.
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
    # The last one's memory goes first.
    gc.collect()
    for manager in (MMLogger, MessageHub, Visualizer):
        manager._instance_dict.clear()
    runner = WholeEpochs.from_cfg(config)
    for hook in (*hooks, EndlessHook()):
        runner.register_hook(hook, priority=hook.priority)
    return runner
