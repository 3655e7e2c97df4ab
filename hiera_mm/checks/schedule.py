"""Checks the settings of a run: metrics that no evaluator gives, loops that never end, missing packages."""

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

BACKEND_PACKAGES = dict(
    TensorboardVisBackend='tensorboard',
    WandbVisBackend='wandb',
    MLflowVisBackend='mlflow',
    ClearMLVisBackend='clearml',
    NeptuneVisBackend='neptune',
    DVCLiveVisBackend='dvclive',
    AimVisBackend='aim',
)
"""The packages that mmengine's visualisation backends need."""


def faults_of_schedule(config: Config) -> Iterator[Fault]:
    """Faults that would only show after hours of training, found in the config alone."""
    for find in (_endless_epochs, _schedulers_by_epoch, _unknown_metrics, _missing_packages):
        yield from (Fault(Severity.BLOCKS, sentence) for sentence in find(config))


def _endless_epochs(config: Config) -> Iterator[str]:
    sampler = config.train_dataloader.get('sampler') or ConfigDict()
    sampler_class = class_of(sampler, config.get('default_scope'), DATA_SAMPLERS)
    if _loop_is(config, EpochBasedTrainLoop) and sampler_class is InfiniteSampler:
        epochs = config.train_cfg.get('max_epochs')
        yield (
            'train_cfg counts epochs, but the InfiniteSampler of train_dataloader never ends one; leave out train_cfg '
            f'and set epochs = {epochs} at the top of the config, which keeps the rest of the recipe, or set '
            "train_dataloader.sampler.type='DefaultSampler', and by_epoch=True in param_scheduler and "
            'default_hooks.checkpoint.'
        )


def _schedulers_by_epoch(config: Config) -> Iterator[str]:
    if not _loop_is(config, IterBasedTrainLoop):
        return
    schedulers = config.get('param_scheduler') or []
    for number, scheduler in enumerate(schedulers if isinstance(schedulers, list) else [schedulers]):
        if scheduler.get('by_epoch', True):
            yield (
                f'param_scheduler.{number} ({scheduler.get("type")}) counts epochs, but the training loop counts '
                'iterations, so the learning rate would never change; set by_epoch=False there.'
            )


def _unknown_metrics(config: Config) -> Iterator[str]:
    """Metrics that hooks monitor but no evaluator gives, if all metrics are known before the evaluators run."""
    given = _known_metrics(config)
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
            yield f"{key} is '{name}', a metric that no evaluator gives; set it to one of {', '.join(given)}."


def _known_metrics(config: Config) -> list[str] | None:
    names = []
    for metric in evaluators_of(config, 'val_evaluator'):
        metric_class = class_of(metric, config.get('default_scope'), METRICS)
        scored = metric.get('metric', 'bbox')
        scored = [scored] if isinstance(scored, str) else scored
        known = metric_class is not None and issubclass(metric_class, CocoMetric) and set(scored) <= {'bbox', 'segm'}
        if not known or metric.get('classwise'):
            return None
        prefix = metric.get('prefix', 'coco')
        names += [f'{prefix}/{part}_{item}' for part in scored for item in metric.get('metric_items') or ITEMS]
    return names or None


def _missing_packages(config: Config) -> Iterator[str]:
    for backend in (config.get('visualizer') or {}).get('vis_backends') or config.get('vis_backends') or []:
        package = BACKEND_PACKAGES.get(str(backend.get('type')).split('.')[-1])
        if package and importlib.util.find_spec(package) is None:
            yield f'{backend.type} in visualizer.vis_backends needs the package {package}; run: pip install {package}'


def _loop_is(config: Config, loop_class: type) -> bool:
    found = class_of(config.get('train_cfg') or ConfigDict(), config.get('default_scope'), LOOPS)
    if found is None and config.get('train_cfg', {}).get('by_epoch') is not None:
        found = EpochBasedTrainLoop if config.train_cfg.by_epoch else IterBasedTrainLoop
    return found is not None and issubclass(found, loop_class)
