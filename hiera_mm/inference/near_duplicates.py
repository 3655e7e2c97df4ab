"""Finds images of validation and testing that show the same as one of training: results on them are too good."""

import csv
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hiera_mm.atomic_write import atomic_write
from hiera_mm.checks.fault import Fault, Severity
from hiera_mm.checks.many_files import open_in_parallel
from hiera_mm.checks.run import LOADERS, data_sets
from hiera_mm.errors import BrokenFileError
from hiera_mm.inference.data_sheet import built_set
from hiera_mm.inference.images import read_image
from hiera_mm.readers.channels import loading_step
from hiera_mm.readers.thumbnails import directions, near_duplicates, thumbnail

import numpy as np
from mmengine.config import Config, ConfigDict

CHUNK_SIZE = 16
TRAINING = 'train_dataloader'


class _Images(NamedTuple):
    """The images of a data loader: the keys of its sets, paths, and vectors of their thumbnails ``(N, 768)``."""

    keys: list[str]
    paths: list[str]
    vectors: np.ndarray


def faults(config: Config, table: Path) -> Iterator[Fault]:
    """A note for validation and for testing, if images of theirs repeat some of training, and one for sets without
    images. Files that can't be read are left to the other checks.

    Args:
        config: The config of the whole run; its sets are sound.
        table: A CSV file to write, with a row for each image that repeats one: ``set``, ``file``, ``repeats``.
    """
    scope = config.get('default_scope')
    found: dict[str, _Images] = {}
    seen: list[ConfigDict] = []
    for loader in LOADERS:
        images = _Images([], [], np.zeros((0, 0), np.float32))
        for key, dataset, kind in data_sets(config, loader):
            if kind is None or dataset.get('backend_args') or dataset in seen:
                continue
            seen.append(dataset)
            paths = _paths(built_set(dataset, scope))
            if paths is None:
                yield Fault(
                    Severity.UNCHECKED, f'{key}: near-duplicates are looked for among images, not in {kind.__name__}.'
                )
                continue
            images = _joined(images, key, paths, dict(loading_step(dataset.get('pipeline'))))
        found[loader] = images
    rows = []
    for loader in LOADERS[1:]:
        repeated = _repeated(found[loader], found[TRAINING])
        rows += [(loader, *pair) for pair in repeated]
        if repeated:
            yield Fault(Severity.NOTE, _sentence(found[loader], found[TRAINING], repeated, table))
    if rows:
        table.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(table) as unfinished, unfinished.open('w', newline='') as file:
            csv.writer(file).writerows([('set', 'file', 'repeats'), *rows])


def _paths(built: Any) -> list[str] | None:
    """The files of a built set's images; None for a set of something else."""
    infos = [built.get_data_info(place) for place in range(len(built))]
    return [info['img_path'] for info in infos] if all('img_path' in info for info in infos) else None


def _joined(images: _Images, key: str, paths: list[str], loading: dict) -> _Images:
    thumbnails = open_in_parallel(partial(_thumbnail, loading=loading), paths, CHUNK_SIZE, f'Thumbnails of {key}')
    read = [(path, small) for path, small in zip(paths, thumbnails, strict=True) if small is not None]
    if not read:
        return images
    vectors = directions(np.stack([small for _, small in read]))
    return _Images(
        [*images.keys, key],
        [*images.paths, *(path for path, _ in read)],
        np.concatenate([images.vectors, vectors]) if images.paths else vectors,
    )


def _thumbnail(path: str, loading: dict) -> np.ndarray | None:
    try:
        return thumbnail(read_image(path, loading))
    except BrokenFileError:
        return None


def _repeated(images: _Images, training: _Images) -> list[tuple[str, str]]:
    if not images.paths or not training.paths:
        return []
    pairs = near_duplicates(images.vectors, training.vectors)
    return [(images.paths[place], training.paths[other]) for place, other in pairs]


def _sentence(images: _Images, training: _Images, repeated: list[tuple[str, str]], table: Path) -> str:
    file, other = repeated[0]
    return (
        f'{" and ".join(images.keys)}: {len(repeated)} of the {len(images.paths)} images show the same as one of '
        f"{' and '.join(training.keys)}, such as '{file}' and '{other}', so that results say too much of the model; "
        f'leave them out of one of the two ({table} lists all).'
    )
