"""All checks of a config: before training those that would stop or falsify the run, in ``check-data`` every one."""

import importlib.util
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from hiera_mm.checks import coco, images, volumes
from hiera_mm.checks.fault import DataPart, Fault, Severity, class_of, classes_of, unwrapped
from hiera_mm.checks.schedule import faults_of_schedule
from hiera_mm.config import evaluators_of
from hiera_mm.datasets.volumes import VolumeDataset
from hiera_mm.errors import UserError, first_few
from hiera_mm.readers.coco_files import CocoFile, read_annotations

from mmdet.evaluation import CocoMetric, CocoPanopticMetric
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
    found = faults_of(config, loaders, count=0)
    if 'train_dataloader' in loaders:
        found = itertools.chain(faults_of_schedule(config), found)
    for fault in found:
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
    yield from _with_refusals(_faults_between_classes(config, loaders))


def _faults_between_classes(config: Config, loaders: Sequence[str]) -> Iterator[Fault]:
    """Models know their classes by number: all data sets must name them in one order."""
    first: tuple[str, list[str]] | None = None
    for loader in LOADERS:
        for key, dataset in unwrapped(f'{loader}.dataset', config[loader].dataset) if config.get(loader) else ():
            classes = _named_classes(dataset, class_of(dataset, config.get('default_scope')))
            if classes is None:
                continue
            first = first or (key, classes)
            if classes != first[1] and loader in loaders:
                yield Fault(
                    Severity.BLOCKS,
                    f'The classes of {key} are {first_few(classes)}, but those of {first[0]} are '
                    f'{first_few(first[1])}; give both the same names in the same order (the order in the annotation '
                    'files or lists does not matter), best by classes = (...) at the top of the config, the names or '
                    'a file of them.',
                )
                return


def _named_classes(dataset: ConfigDict, kind: type | None) -> list[str] | None:
    """Of a data set whose labels are told by name; None for others."""
    if kind is None:
        return None
    if coco.reads_coco(kind):
        return classes_of(dataset, kind)
    if issubclass(kind, tuple(_checks_of_masks())):
        from hiera_mm.checks.masks import names_classes

        return classes_of(dataset, kind) if names_classes(dataset, kind) else None
    if issubclass(kind, VolumeDataset):
        return classes_of(dataset, kind) if dataset.get('metainfo', {}).get('classes') else None
    if importlib.util.find_spec('mmaction') is None:
        return None
    from hiera_mm.checks.videos import classes_of_list
    from hiera_mm.datasets.video import ClipDataset

    return classes_of_list(dataset) if issubclass(kind, ClipDataset) else None


def _check_of(kind: type | None) -> Callable[[DataPart], Iterator[Fault]] | None:
    """What looks at data sets of this class, if anything does."""
    if kind is None:
        return None
    if coco.reads_coco(kind):
        return coco.faults
    checks = {VolumeDataset: volumes.faults} | _checks_of_clips() | _checks_of_masks()
    return next((check for base, check in checks.items() if issubclass(kind, base)), None)


def _checks_of_clips() -> dict[type, Callable]:
    """Of the data sets that need mmaction, if it is installed."""
    if importlib.util.find_spec('mmaction') is None:
        return {}
    from hiera_mm.checks import ava, videos
    from hiera_mm.datasets.ava import AVAClipDataset
    from hiera_mm.datasets.images import ImageDataset
    from hiera_mm.datasets.video import ClipDataset

    return {AVAClipDataset: ava.faults, ClipDataset: videos.faults, ImageDataset: images.faults}


def _checks_of_masks() -> dict[type, Callable]:
    """Of the data sets that need mmsegmentation, if it is installed."""
    if importlib.util.find_spec('mmseg') is None:
        return {}
    from hiera_mm.checks import masks

    from mmseg.datasets import BaseSegDataset

    return {BaseSegDataset: masks.faults}


def _faults_of_evaluators(config: Config, key: str, read: Callable) -> Iterator[Fault]:
    for evaluator in evaluators_of(config, key):
        if _is_of(evaluator, config.get('default_scope'), *_ava_metrics()):
            from hiera_mm.checks import ava

            yield from ava.faults_of_metric(key, evaluator, config.model)
        elif _is_of(evaluator, config.get('default_scope'), CocoPanopticMetric):
            if importlib.util.find_spec('panopticapi') is None:
                yield Fault(
                    Severity.BLOCKS,
                    f'{key} scores panoptic quality, for which mmdet needs the package panopticapi; run: pip install '
                    'git+https://github.com/cocodataset/panopticapi.git',
                )
        elif _is_of(evaluator, config.get('default_scope'), CocoMetric):
            loader = key.replace('evaluator', 'dataloader')
            yield from coco.faults_of_metric(key, evaluator, config, loader, read)


def _is_of(evaluator: ConfigDict, scope: str | None, *kinds: type) -> bool:
    kind = class_of(evaluator, scope, METRICS)
    return kind is not None and issubclass(kind, kinds)


def _ava_metrics() -> list[type]:
    """Of mmaction, if it is installed."""
    if importlib.util.find_spec('mmaction') is None:
        return []
    from mmaction.evaluation import AVAMetric

    return [AVAMetric]


def _reading_once() -> Callable[..., CocoFile]:
    """:func:`read_annotations` that holds what it has read, for one check: a large set's annotations take gigabytes."""
    held: dict[tuple[Path, bool], CocoFile] = {}

    def read(path: str | Path, key: str, *, without_objects: bool) -> CocoFile:
        place = (Path(path), without_objects)
        # A file that has its objects is the same either way.
        whole = held.get((Path(path), False))
        if whole is None and place not in held:
            held[place] = read_annotations(path, key, without_objects=without_objects)
        return whole or held[place]

    return read


def _with_refusals(found: Iterable[Fault]) -> Iterator[Fault]:
    """The faults, and as the last of them what a reader refused to read."""
    try:
        yield from found
    except UserError as error:
        yield Fault(Severity.BLOCKS, str(error))
