"""The faults that checks report, and the data sets that they check."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from hiera_mm.config import in_scope_named
from hiera_mm.errors import UserError
from hiera_mm.readers.class_names import classes_from

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, Registry


class Severity(Enum):
    """How much a fault matters."""

    BLOCKS = 'the run would stop, or its results would be wrong'
    FAULT = 'some samples are damaged or missing'
    NOTE = 'allowed, but worth knowing'
    UNCHECKED = 'not looked at'


class Fault(NamedTuple):
    """A fault in one sentence: what is wrong, with which file or key, and what to do."""

    severity: Severity
    sentence: str


class CheckedTask(Protocol):
    """What checks need from a task; :class:`hiera_mm.tasks.task.Task` documents the members."""

    def class_places(self, model: ConfigDict) -> list[tuple[str, int]]: ...
    def class_names(self, dataset: ConfigDict, dataset_type: type) -> list[str] | None: ...
    def check_of(self, dataset_type: type) -> Callable[[DataPart], Iterator[Fault]] | None: ...
    def faults_of_model(self, model: ConfigDict) -> Iterator[Fault]: ...
    def faults_of_evaluator(
        self, key: str, evaluator: ConfigDict, metric_type: type, config: Config, read: Callable
    ) -> Iterator[Fault]: ...
    def faults_between(self, datasets: Sequence[tuple[ConfigDict, type | None]]) -> Iterator[Fault]: ...


@dataclass(frozen=True)
class DataPart:
    """A data set of a config, without its wrappers, and what is needed to check it.

    Attributes:
        key: Its key in the config, such as ``'train_dataloader.dataset.dataset'``.
        dataset: Its config.
        dataset_class: Its class.
        loader_key, loader: The data loader it belongs to.
        task, model: The config's task and model.
        read_annotations: :func:`hiera_mm.readers.coco_files.read_annotations`, cached for one check.
        count: How many videos or images to open, chosen at random; None for all. 0 before training: then only the
            files' existence is checked, and annotation files are read.
    """

    key: str
    dataset: ConfigDict
    dataset_class: type[BaseDataset]
    loader_key: str
    loader: ConfigDict
    task: CheckedTask
    model: ConfigDict
    read_annotations: Callable
    count: int | None

    @property
    def before_training(self) -> bool:
        return self.count == 0

    @property
    def class_places(self) -> list[tuple[str, int]]:
        """The config keys that say how many classes the model predicts, with their values."""
        return self.task.class_places(self.model)

    @property
    def class_count(self) -> int | None:
        """How many classes the model predicts; None if its config does not say."""
        return next((number for _, number in self.class_places), None)

    @property
    def for_testing(self) -> bool:
        """Whether the set is used for validation or testing."""
        return self.loader_key != 'train_dataloader'


def unwrapped(key: str, dataset: ConfigDict) -> Iterator[tuple[str, ConfigDict]]:
    """The data sets inside wrappers such as ``RepeatDataset``, or the data set itself, with their config keys."""
    inner = [(f'{key}.dataset', dataset.dataset)] if 'dataset' in dataset else []
    inner += [(f'{key}.datasets.{number}', part) for number, part in enumerate(dataset.get('datasets', ()))]
    for place, part in inner:
        yield from unwrapped(place, part)
    if not inner:
        yield key, dataset


def class_of(part: ConfigDict, scope: str | None, registry: Registry = DATASETS) -> type | None:
    """The class that a dict's ``type`` names for a runner with this default scope; None if it is not registered, or if
    there is no such dict."""
    named = part.get('type') if isinstance(part, dict) else None
    if not isinstance(named, str):
        return named if inspect.isclass(named) else None
    with (
        in_scope_named(part.get('_scope_') or scope or 'mmengine'),
        registry.switch_scope_and_registry(None) as searched,
    ):
        found = searched.get(part.type)
    return found if inspect.isclass(found) else None


def classes_of(dataset: ConfigDict, dataset_class: type[BaseDataset] | None) -> list[str]:
    """Class names in a data set's config, or by default those of its type.

    Raises:
        UserError: if the config names none and the type is not registered, or if it gives a string that is not a file.
    """
    chosen = dataset.get('metainfo', {}).get('classes')
    if chosen is None:
        if dataset_class is None:
            raise UserError(
                f"The classes of the data set type '{dataset.get('type')}' are not known, as the type is not "
                'registered; set metainfo = dict(classes=(...)) in its dict.'
            )
        chosen = dataset_class.METAINFO['classes']
    return list(classes_from(chosen))


def sample(names: list, count: int | None) -> list:
    """``count`` random entries, the same each time; all if ``count`` is None."""
    return names if count is None or count >= len(names) else random.Random(0).sample(names, count)
