"""All checks of a config: before training those that would stop or falsify the run, in ``check-data`` every one."""

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from hiera_mm.checks import coco, images
from hiera_mm.checks.fault import DataPart, Fault, Severity, class_of, unwrapped
from hiera_mm.config import evaluators_of
from hiera_mm.errors import UserError
from hiera_mm.readers.coco_files import read_annotations

from mmengine.config import Config, ConfigDict
from mmengine.registry import METRICS

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def check_data(config: Config, loaders: Sequence[str]) -> None:
    """Refuse data that a run of these data loaders could not use, or would give wrong results with.

    Args:
        config: Of the whole run.
        loaders: Such as ``['train_dataloader', 'val_dataloader']``; absent ones are passed over, and so is data in a
            remote store (``backend_args``). Of several processes only the first looks.

    Raises:
        UserError: with the first fault.
    """
    if int(os.environ.get('RANK', 0)) > 0:
        return
    for fault in faults_of(config, loaders, count=0):
        if fault.severity is Severity.BLOCKS:
            raise UserError(fault.sentence)


def faults_of(config: Config, loaders: Sequence[str] = LOADERS, count: int | None = None) -> Iterator[Fault]:
    """All that is wrong with what the config's data loaders and evaluators name, each file looked at once.

    Args:
        config: Of the whole run.
        loaders: Absent ones are passed over.
        count: How many videos of each list, or images of each set with a class for each, to decode, chosen at random;
            None for all, 0 for what is looked at before training.
    """
    read = _reading_once()
    yield from images.faults_of_blending(config.model)
    seen: set[str] = set()
    in_folders: list[ConfigDict] = []
    for loader in loaders:
        if config.get(loader) is None:
            continue
        for key, dataset in unwrapped(f'{loader}.dataset', config[loader].dataset):
            kind = class_of(dataset, config.get('default_scope'))
            check = _check_of(kind)
            if check is images.faults:
                in_folders.append(dataset)
            place = str({name: value for name, value in dataset.items() if name != 'pipeline'})
            if check is not None and kind is not None and place not in seen:
                part = DataPart(key, dataset, kind, loader, config[loader], config.model, read, count)
                yield from _with_refusals(check(part))
            seen.add(place)
        yield from _with_refusals(_faults_of_evaluators(config, loader.replace('dataloader', 'evaluator'), read))
    yield from _with_refusals(images.faults_between(in_folders))


def _check_of(kind: type | None) -> Callable[[DataPart], Iterator[Fault]] | None:
    """What looks at data sets of this class, if anything does."""
    if kind is None:
        return None
    if coco.reads_coco(kind):
        return coco.faults
    return next((check for base, check in _checks_of_clips().items() if issubclass(kind, base)), None)


def _checks_of_clips() -> dict[type, Callable]:
    """Of the data sets that need mmaction, if it is installed."""
    if importlib.util.find_spec('mmaction') is None:
        return {}
    from hiera_mm.checks import ava, videos
    from hiera_mm.datasets.ava import AVAClipDataset
    from hiera_mm.datasets.images import ImageDataset
    from hiera_mm.datasets.video import ClipDataset

    return {AVAClipDataset: ava.faults, ClipDataset: videos.faults, ImageDataset: images.faults}


def _faults_of_evaluators(config: Config, key: str, read: Callable) -> Iterator[Fault]:
    for evaluator in evaluators_of(config, key):
        if _is_of_ava(evaluator, config.get('default_scope')):
            from hiera_mm.checks import ava

            yield from ava.faults_of_metric(key, evaluator, config.model)
        elif evaluator.get('ann_file') and not evaluator.get('backend_args'):
            read(evaluator.ann_file, f'{key}.ann_file')


def _is_of_ava(evaluator: ConfigDict, scope: str | None) -> bool:
    kind = class_of(evaluator, scope, METRICS)
    if kind is None or importlib.util.find_spec('mmaction') is None:
        return False
    from mmaction.evaluation import AVAMetric

    return issubclass(kind, AVAMetric)


def _reading_once() -> Callable[[str | Path, str], dict]:
    """:func:`read_annotations` that holds what it has read, for one check: a large set's annotations take gigabytes."""
    held: dict[Path, dict] = {}

    def read(path: str | Path, key: str) -> dict:
        if Path(path) not in held:
            held[Path(path)] = read_annotations(path, key)
        return held[Path(path)]

    return read


def _with_refusals(found: Iterable[Fault]) -> Iterator[Fault]:
    """The faults, and as the last of them what a reader refused to read."""
    try:
        yield from found
    except UserError as error:
        yield Fault(Severity.BLOCKS, str(error))
