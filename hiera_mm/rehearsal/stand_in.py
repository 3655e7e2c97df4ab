"""Data that stand in for those of a config which are not there: drawn in its own formats, with its own classes, at its
own paths below another folder.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from hiera_mm.checks.run import LOADERS, data_sets
from hiera_mm.config import evaluators_of

import numpy as np
from mmengine.config import Config, ConfigDict

EVALUATORS = ('val_evaluator', 'test_evaluator')
FILES = ('ann_file', 'label_file', 'exclude_file', 'proposal_file')

Artist = Callable[[ConfigDict, int, int, np.random.Generator], None]
"""``artist(dataset, classes, count, random)`` draws so many samples of a data set, for a model of so many classes."""


class StandInTask(Protocol):
    """A task as far as data are drawn for it."""

    def class_places(self, model: ConfigDict) -> list[tuple[str, int]]: ...
    def artist_of(self, kind: type) -> Artist | None: ...


def can_stand_in(config: Config, task: StandInTask) -> bool:
    """Whether nothing that the data loaders of a config name is there, and all of it can be drawn."""
    for _, dataset, kind in _datasets(config):
        if any(path.exists() for path in _paths(dataset)) or (kind is not None and task.artist_of(kind) is None):
            return False
    return True


def draw(config: Config, task: StandInTask, folder: Path) -> None:
    """Draw data for all loaders below ``folder``, and change their paths and those of the evaluators to there."""
    drawn: set[str] = set()
    classes = next((number for _, number in task.class_places(config.model)), 1)
    for loader, dataset, kind in _datasets(config):
        _move(dataset, folder)
        # The parts of a list of volumes lie in one file.
        place = str([*map(str, _paths(dataset)), dataset.get('data_list_key')])
        draw_set = task.artist_of(kind) if kind else None
        if place not in drawn and draw_set is not None:
            batch = config[loader].get('batch_size', 1)
            # A whole batch and a smaller last one.
            draw_set(dataset, classes, batch + max(1, batch // 2), np.random.default_rng(len(drawn)))
        drawn.add(place)
    for key in EVALUATORS:
        for evaluator in evaluators_of(config, key):
            _move(evaluator, folder)


def _datasets(config: Config) -> Iterator[tuple[str, ConfigDict, type | None]]:
    for loader in LOADERS:
        for _, dataset, kind in data_sets(config, loader):
            yield loader, dataset, kind


def _paths(dataset: ConfigDict) -> Iterator[Path]:
    root = dataset.get('data_root') or ''
    named = [dataset.get(key) for key in FILES] + [*dataset.get('data_prefix', {}).values()]
    yield from (Path(root, name) for name in named if name)
    if root:
        yield Path(root)


def _move(part: ConfigDict, folder: Path) -> None:
    """Put the paths of a data set or an evaluator below ``folder``."""

    def moved(path: str) -> str:
        # Loaders that share a dict come here more than once.
        if Path(path).is_relative_to(folder):
            return path
        inside = [step for step in Path(path).parts if step not in ('..', '/')]
        # A folder's last slash matters where names are put together by adding them.
        return str(folder.joinpath(*inside)) + ('/' if path.endswith('/') else '')

    root = part.get('data_root')
    if root:
        part.data_root = moved(root)
    names = {key: part.get(key) for key in FILES} | {
        ('data_prefix', k): v for k, v in part.get('data_prefix', {}).items()
    }
    for key, path in names.items():
        if path and (not root or Path(path).is_absolute()):
            holder, name = (part.data_prefix, key[1]) if isinstance(key, tuple) else (part, key)
            holder[name] = moved(path)


def root_and_folder(dataset: ConfigDict, kind: str) -> tuple[Path, Path]:
    """The folder of a data set's annotations, and that of its files, which is made."""
    root = Path(dataset.get('data_root') or '')
    folder = root / dataset.get('data_prefix', {}).get(kind, '')
    folder.mkdir(parents=True, exist_ok=True)
    return root, folder


def label_of(dataset: ConfigDict) -> str:
    """The beginning of the names of a data set's files, as loaders may share a folder."""
    return Path(dataset.get('ann_file') or 'image').stem


def write_file(path: Path, content: str | bytes | dict) -> None:
    """Write text, bytes, or anything else as JSON, into a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
