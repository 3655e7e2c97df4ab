"""Applies options of training and testing to a config."""

from hiera_mm.errors import UserError

from mmengine.config import Config


def use_mixed_precision(config: Config) -> None:
    """Train in mixed precision (``--amp``): fp16 on a GPU unless the config sets another ``optim_wrapper.dtype``,
    bfloat16 on a CPU."""
    config.optim_wrapper.type = 'AmpOptimWrapper'
    config.optim_wrapper.setdefault('loss_scale', 'dynamic')


def compile_model(config: Config) -> None:
    """Compile the parts of static shapes before the run (``--compile``)."""
    config.custom_hooks = [*config.get('custom_hooks', []), dict(type='CompileHook')]


def scale_learning_rate(config: Config) -> None:
    """Scale the learning rate by the images of an update (``--auto-scale-lr``): over all processes, and over the
    iterations whose gradients are accumulated, which mmengine leaves out.

    Raises:
        UserError: for a config that doesn't say for which batch size its learning rate was chosen.
    """
    if 'base_batch_size' not in config.get('auto_scale_lr', {}):
        raise UserError(
            '--auto-scale-lr needs to know for which batch size the learning rate was chosen; set '
            'auto_scale_lr = dict(base_batch_size=...) in the config.'
        )
    config.auto_scale_lr.enable = True
    config.auto_scale_lr.base_batch_size /= config.optim_wrapper.get('accumulative_counts', 1)
