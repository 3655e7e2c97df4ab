"""Settings at the top of a config in runs that other programs start."""

from pathlib import Path

from hiera_mm.engine.run_length import length_constants
from hiera_mm.errors import UserError
from hiera_mm.settings import Settled, read_config, settled

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS, LOOPS
from mmengine.runner import IterBasedTrainLoop, Runner


@HOOKS.register_module()
class SettingsHook(Hook):
    """Refuses settings that were changed after the config had been read, when they have no effect any more, and sets
    the length of a run by iterations as ``hiera-mm train`` does, which has counted the images before.

    Raises:
        UserError: naming the setting and the key to set instead.
    """

    # Before the hooks that use the length.
    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        remembered = settled(runner.cfg)
        if remembered is None:
            return
        _refuse_late_changes(runner.cfg, remembered)
        by_iteration = isinstance(runner._train_loop, IterBasedTrainLoop) and 'epoch_length' in runner.cfg
        if by_iteration and not remembered.counted and not remembered.given.keys().isdisjoint({'epochs', 'max_iters'}):
            _set_length(runner, remembered)


def _refuse_late_changes(config: Config, remembered: Settled) -> None:
    for name, value in remembered.values.items():
        found = config.get(name)
        if found != value:
            raise UserError(
                f"'{name}' at the top of the config was changed from {value!r} to {found!r} after the config had been "
                'read, which has no effect; set it in the file, or set the keys that it stands for, such as '
                'train_dataloader.batch_size (hiera-mm train --cfg-options takes both).'
            )


def _set_length(runner: Runner, remembered: Settled) -> None:
    """Build the training loop and the schedules anew, with the images counted."""
    path = runner.cfg.filename
    if runner.cfg.train_cfg.max_iters != remembered.length or not Path(path).is_file():
        # Another program's option has set the length.
        return
    loader = runner.train_loop.dataloader
    images, batch = len(loader.dataset), (loader.batch_size or loader.batch_sampler.batch_size) * get_world_size()
    longer = read_config(path, (), length_constants(images, batch, remembered.given.get('epochs')))
    runner._train_loop = LOOPS.build(longer.train_cfg, default_args=dict(runner=runner, dataloader=loader))
    for group in runner.optim_wrapper.param_groups:
        group['lr'] = group.get('initial_lr', group['lr'])
    runner.param_schedulers = runner.build_param_scheduler(longer.param_scheduler)
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook):
            hook.interval = longer.default_hooks.checkpoint.interval
