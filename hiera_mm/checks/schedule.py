"""What is wrong with the settings of a run: metrics that nobody gives, and loops that never end."""

import importlib.util
from collections.abc import Iterator

from hiera_mm.checks.fault import Fault, Severity, class_of
from hiera_mm.config import evaluators_of
from hiera_mm.evaluation.coco import ITEMS

from mmdet.evaluation import CocoMetric
from mmengine.config import Config, ConfigDict
from mmengine.dataset import InfiniteSampler
from mmengine.registry import DATA_SAMPLERS, LOOPS, METRICS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

PACKAGES = dict(
    TensorboardVisBackend='tensorboard',
    WandbVisBackend='wandb',
    MLflowVisBackend='mlflow',
    ClearMLVisBackend='clearml',
    NeptuneVisBackend='neptune',
    DVCLiveVisBackend='dvclive',
    AimVisBackend='aim',
)
"""What mmengine's visualisation backends import."""


def faults_of_schedule(config: Config) -> Iterator[Fault]:
    """Faults that would show after hours, found in the config alone."""
    for find in (_endless_epochs, _schedules_that_wait, _unknown_metrics, _absent_packages):
        yield from (Fault(Severity.BLOCKS, sentence) for sentence in find(config))


def _endless_epochs(config: Config) -> Iterator[str]:
    sampler = config.train_dataloader.get('sampler') or ConfigDict()
    kind = class_of(sampler, config.get('default_scope'), DATA_SAMPLERS)
    if _loop_is(config, EpochBasedTrainLoop) and kind is InfiniteSampler:
        epochs = config.train_cfg.get('max_epochs')
        yield (
            f'train_cfg counts epochs, but the InfiniteSampler of train_dataloader never ends one; leave train_cfg out '
            f'and set epochs = {epochs} at the top of the config, which keeps the rest of the recipe, or set '
            "train_dataloader.sampler.type='DefaultSampler' and by_epoch=True in param_scheduler and default_hooks."
            'checkpoint.'
        )


def _schedules_that_wait(config: Config) -> Iterator[str]:
    if not _loop_is(config, IterBasedTrainLoop):
        return
    schedulers = config.get('param_scheduler') or []
    for number, scheduler in enumerate(schedulers if isinstance(schedulers, list) else [schedulers]):
        if scheduler.get('by_epoch', True):
            yield (
                f'param_scheduler.{number} ({scheduler.get("type")}) counts epochs, but the training loop counts '
                'iterations, so that it would never change the rate; set by_epoch=False there.'
            )


def _unknown_metrics(config: Config) -> Iterator[str]:
    """Names that hooks wait for, where all that the evaluators give is known before they run."""
    given = _metrics_given(config)
    if given is None:
        return
    wanted = []
    best = config.get('default_hooks', {}).get('checkpoint', {}).get('save_best')
    for name in best if isinstance(best, list | tuple) else [best]:
        wanted.append(('default_hooks.checkpoint.save_best', name))
    for number, hook in enumerate(config.get('custom_hooks') or []):
        if str(hook.get('type')).endswith('EarlyStoppingHook'):
            wanted.append((f'custom_hooks.{number}.monitor', hook.get('monitor')))
    for key, name in wanted:
        if name not in (None, 'auto', *given):
            yield f"{key} waits for '{name}', which no evaluator gives; set it to one of {', '.join(given)}."


def _metrics_given(config: Config) -> list[str] | None:
    names = []
    for metric in evaluators_of(config, 'val_evaluator'):
        kind = class_of(metric, config.get('default_scope'), METRICS)
        kinds = metric.get('metric', 'bbox')
        kinds = [kinds] if isinstance(kinds, str) else kinds
        known = kind is not None and issubclass(kind, CocoMetric) and set(kinds) <= {'bbox', 'segm'}
        if not known or metric.get('classwise'):
            return None
        prefix = metric.get('prefix', 'coco')
        names += [f'{prefix}/{part}_{item}' for part in kinds for item in metric.get('metric_items') or ITEMS]
    return names or None


def _absent_packages(config: Config) -> Iterator[str]:
    for backend in (config.get('visualizer') or {}).get('vis_backends') or config.get('vis_backends') or []:
        package = PACKAGES.get(str(backend.get('type')).split('.')[-1])
        if package and importlib.util.find_spec(package) is None:
            yield f'{backend.type} in visualizer.vis_backends needs the package {package}; run: pip install {package}'


def _loop_is(config: Config, kind: type) -> bool:
    found = class_of(config.get('train_cfg') or ConfigDict(), config.get('default_scope'), LOOPS)
    if found is None and config.get('train_cfg', {}).get('by_epoch') is not None:
        found = EpochBasedTrainLoop if config.train_cfg.by_epoch else IterBasedTrainLoop
    return found is not None and issubclass(found, kind)
