"""The tasks of the suite, one for each type of model, and finding the task of a config."""

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hiera_mm.checks import run
from hiera_mm.checks.fault import Fault
from hiera_mm.inference.formats import open_exported
from hiera_mm.inference.loading import exported_model, load_model
from hiera_mm.inference.trained import Predictor, TrainedModel
from hiera_mm.tasks.task import Task

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS

REQUIRED_PACKAGES = {
    'autoencoding': 'mmaction',
    'distillation': 'mmaction',
    'volumes': 'mmaction',
    'segmentation': 'mmseg',
    'actions': 'mmaction',
    'classification': 'mmaction',
    'panoptic': 'mmdet',
    'detection': 'mmdet',
}
"""The suite's tasks, in the order in which they are tried, and the package that each needs."""

TASKS: list[Task] = [
    importlib.import_module(f'hiera_mm.tasks.{name}').TASK
    for name, package in REQUIRED_PACKAGES.items()
    if importlib.util.find_spec(package) is not None
]
"""All tasks; a config belongs to the first that recognises it."""


def register(task: Task) -> Task:
    """Add a task, and return it; it is tried before the others."""
    TASKS.insert(0, task)
    return task


def task_of(config: Config) -> Task:
    """The task of a config; a plain :class:`Task` if no task recognises it."""
    return next((task for task in TASKS if task.recognises(config)), Task())


def check_data(config: Config, loaders: Sequence[str]) -> None:
    """Refuse faulty data before a run, see :func:`hiera_mm.checks.run.check_data`."""
    run.check_data(config, task_of(config), loaders)


def faults_of(config: Config, loaders: Sequence[str] = run.LOADERS, count: int | None = None) -> Iterator[Fault]:
    """All faults of a config's data, see :func:`hiera_mm.checks.run.faults_of`."""
    return run.faults_of(config, task_of(config), loaders, count)


def load(
    model: str | Path,
    config: str | None = None,
    device: str | None = None,
    classes: Sequence[str] | Mapping[int, str] | None = None,
    trust: bool = False,
    half: bool = False,
) -> Any:
    """Load a trained model as an object with a method ``predict``.

    Args:
        model: A checkpoint of a run, or the folder of a run for its best checkpoint; a folder from
            ``hiera-mm publish``, or its address ``hf://OWNER/NAME``; a file from ``hiera-mm export``; with ``config``
            any checkpoint.
        config: Name or path of its config, if the file does not contain it.
        device: Such as ``'cuda:0'``; by default a GPU if there is one.
        classes: The names of the classes in the order of training, or of an action detector by number; by default those
            of training.
        trust: Whether the file may run code: needed for a ``.pt2``, and for a config inside with texts that are not
            known to be harmless.
        half: Whether to compute in half precision, which is faster on GPUs and on processors with instructions for it:
            bfloat16, on GPUs without it float16. Boxes and norms stay in float32.

    Returns:
        A :class:`~hiera_mm.tasks.detection.Detector`, :class:`~hiera_mm.tasks.panoptic.PanopticSegmenter`,
        :class:`~hiera_mm.tasks.segmentation.Segmenter`, :class:`~hiera_mm.tasks.classification.Classifier`,
        :class:`~hiera_mm.tasks.actions.ActionDetector`, :class:`~hiera_mm.tasks.volumes.VolumeSegmenter` or
        :class:`~hiera_mm.tasks.autoencoding.Reconstructor`.

    Raises:
        UserError: for a file that is not a trained model of one of these tasks, or can't be read.
    """
    trained = load_trained(model, config, device, trust, half)
    return trained.task.predictor(trained, classes)


def load_trained(
    source: str | Path,
    config: str | None = None,
    device: str | None = None,
    trust: bool = False,
    half: bool = False,
) -> TrainedModel:
    """Load a trained model with its config and its task, as :func:`load` does."""
    return load_model(str(source), task_of, config, device, trust, half)


@MODELS.register_module()
def ExportedModel(file: str, trust: bool) -> BaseModel:
    """An exported file as the ``model`` of a config, so that the runner tests it; ``trust`` as in :func:`load`."""
    return exported_model(open_exported(file, trust), file, task_of, trust).model


__all__ = [
    'REQUIRED_PACKAGES',
    'TASKS',
    'Predictor',
    'Task',
    'check_data',
    'faults_of',
    'load',
    'load_trained',
    'register',
    'task_of',
]
