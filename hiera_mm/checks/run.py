"""Runs the checks of a config: before training, those for faults that would stop or falsify the run; in ``check-data``,
all of them."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from hiera_mm.checks import channels
from hiera_mm.checks.fault import CheckedTask, DataPart, Fault, Severity, class_of, unwrapped
from hiera_mm.checks.schedule import faults_of_schedule
from hiera_mm.config import evaluators_of
from hiera_mm.errors import UserError, first_few
from hiera_mm.readers.coco_files import CocoFile, read_annotations

from mmengine.config import Config, ConfigDict
from mmengine.registry import METRICS

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def check_data(config: Config, task: CheckedTask, loaders: Sequence[str]) -> None:
    """Refuse data that would stop a run of these data loaders or make its results wrong.

    Args:
        config: The config of the whole run.
        task: Its task.
        loaders: Such as ``['train_dataloader', 'val_dataloader']``; missing ones are skipped, and so is data in a
            remote store (``backend_args``). With several processes, only the first one checks.

    Raises:
        UserError: with the first fault.
    """
    if int(os.environ.get('RANK', 0)) > 0:
        return
    found = faults_of(config, task, loaders, count=0)
    if 'train_dataloader' in loaders:
        found = itertools.chain(faults_of_schedule(config), found)
    for fault in found:
        if fault.severity is Severity.BLOCKS:
            raise UserError(fault.sentence)


def faults_of(
    config: Config, task: CheckedTask, loaders: Sequence[str] = LOADERS, count: int | None = None
) -> Iterator[Fault]:
    """All faults of the config's data loaders and evaluators; each file is read once.

    Args:
        config: The config of the whole run.
        task: Its task.
        loaders: Names of data loaders; missing ones are skipped.
        count: How many videos or labelled images of each set to decode, chosen at random; None for all, 0 for the
            checks before training.
    """
    read = _cached_reader()
    yield from task.faults_of_model(config.model)
    seen: set[str] = set()
    checked: list[tuple[ConfigDict, type | None]] = []
    for loader in loaders:
        for key, dataset, dataset_class in data_sets(config, loader):
            checked.append((dataset, dataset_class))
            check = task.check_of(dataset_class) if dataset_class else None
            source = str({name: value for name, value in dataset.items() if name != 'pipeline'})
            remote = bool(dataset.get('backend_args'))
            if count != 0 and (check is None or remote) and source not in seen:
                kind = f'{dataset.get("type")} in a remote store' if remote else dataset.get('type')
                yield Fault(Severity.UNCHECKED, f'{key}: not checked, as there is no check for {kind}.')
            if check is not None and dataset_class is not None and source not in seen:
                part = DataPart(key, dataset, dataset_class, loader, config[loader], task, config.model, read, count)
                sound = True
                for fault in _with_reader_errors(check(part)):
                    sound = sound and fault.severity is Severity.NOTE
                    yield fault
                if sound:
                    yield from _with_reader_errors(channels.faults(part, config.get('default_scope')))
            seen.add(source)
        if config.get(loader) is not None:
            evaluator_key = loader.replace('dataloader', 'evaluator')
            yield from _with_reader_errors(_faults_of_evaluators(config, task, evaluator_key, read))
    yield from _with_reader_errors(task.faults_between(checked))
    yield from _with_reader_errors(_faults_between_classes(config, task, loaders))


def data_sets(config: Config, loader: str) -> Iterator[tuple[str, ConfigDict, type | None]]:
    """The data sets of a loader without their wrappers: key, config and class of each; nothing if the config has no
    such loader."""
    if config.get(loader) is not None:
        for key, dataset in unwrapped(f'{loader}.dataset', config[loader].dataset):
            yield key, dataset, class_of(dataset, config.get('default_scope'))


def _faults_between_classes(config: Config, task: CheckedTask, loaders: Sequence[str]) -> Iterator[Fault]:
    """Models know classes by number, so all data sets must name them in the same order."""
    first: tuple[str, list[str]] | None = None
    for loader in LOADERS:
        for key, dataset, dataset_class in data_sets(config, loader):
            classes = task.class_names(dataset, dataset_class) if dataset_class else None
            if classes is None:
                continue
            first = first or (key, classes)
            if classes != first[1] and loader in loaders:
                yield Fault(
                    Severity.BLOCKS,
                    f'The classes of {key} are {first_few(classes)}, but those of {first[0]} are '
                    f'{first_few(first[1])}; give both the same names in the same order (the order in the annotation '
                    'files or lists does not matter), preferably with classes = (...) at the top of the config, the '
                    'names or a file of them.',
                )
                return


def _faults_of_evaluators(config: Config, task: CheckedTask, key: str, read: Callable) -> Iterator[Fault]:
    for evaluator in evaluators_of(config, key):
        metric_class = class_of(evaluator, config.get('default_scope'), METRICS)
        if metric_class is not None:
            yield from task.faults_of_evaluator(key, evaluator, metric_class, config, read)


def _cached_reader() -> Callable[..., CocoFile]:
    """:func:`read_annotations` with a cache that lives for one check, since annotations can take gigabytes."""
    cache: dict[tuple[Path, bool], CocoFile] = {}

    def read(path: str | Path, key: str, *, without_objects: bool) -> CocoFile:
        # A file read with its objects also serves where they may be missing.
        with_objects = cache.get((Path(path), False))
        if with_objects is not None:
            return with_objects
        if (Path(path), without_objects) not in cache:
            cache[Path(path), without_objects] = read_annotations(path, key, without_objects=without_objects)
        return cache[Path(path), without_objects]

    return read


def _with_reader_errors(found: Iterable[Fault]) -> Iterator[Fault]:
    """The faults, and as the last one the error of a reader that refuses a file."""
    try:
        yield from found
    except UserError as error:
        yield Fault(Severity.BLOCKS, str(error))
