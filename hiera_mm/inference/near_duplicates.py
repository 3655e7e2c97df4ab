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
    """A note each for validation and for testing of how many images of theirs repeat some of training, and one for sets
    without images. Files that can't be read are left to the other checks.

    Args:
        config: The config of the whole run; its sets are sound.
        table: A CSV file to write, with a row for each image that repeats one: ``set``, ``file``, ``repeats``.
    """
    scope = config.get('default_scope')
    found = dict.fromkeys(LOADERS, _Images([], [], np.zeros((0, 0), np.float32)))
    seen: list[tuple[ConfigDict, _Images]] = []
    tested: list[ConfigDict] = []
    for loader in LOADERS:
        for key, dataset, kind in data_sets(config, loader):
            # Testing on the set of validation would say the same twice.
            if kind is None or dataset.get('backend_args') or dataset in tested:
                continue
            tested += [] if loader == TRAINING else [dataset]
            images = next((images for one, images in seen if one == dataset), None)
            if images is None:
                paths = _paths(built_set(dataset, scope))
                if paths is None:
                    sentence = f'{key}: near-duplicates are looked for among images, not in {kind.__name__}.'
                    yield Fault(Severity.UNCHECKED, sentence)
                    continue
                images = _read(key, paths, dict(loading_step(dataset.get('pipeline'))))
                seen.append((dataset, images))
            found[loader] = _joined(found[loader], images._replace(keys=[key]))
    rows = []
    for loader in LOADERS[1:]:
        if found[loader].paths and found[TRAINING].paths:
            repeated = _repeated(found[loader], found[TRAINING])
            rows += [(loader, *pair) for pair in repeated]
            yield Fault(Severity.NOTE, _sentence(found[loader], found[TRAINING], repeated, table))
    table.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(table) as unfinished, unfinished.open('w', newline='') as file:
        csv.writer(file).writerows([('set', 'file', 'repeats'), *rows])


def _paths(built: Any) -> list[str] | None:
    """The files of a built set's images; None for a set of something else."""
    infos = [built.get_data_info(place) for place in range(len(built))]
    return [info['img_path'] for info in infos] if all('img_path' in info for info in infos) else None


def _read(key: str, paths: list[str], loading: dict) -> _Images:
    thumbnails = open_in_parallel(partial(_thumbnail, loading=loading), paths, CHUNK_SIZE, f'Thumbnails of {key}')
    read = [(path, small) for path, small in zip(paths, thumbnails, strict=True) if small is not None]
    vectors = directions(np.stack([small for _, small in read])) if read else np.zeros((0, 0), np.float32)
    return _Images([key], [path for path, _ in read], vectors)


def _joined(one: _Images, other: _Images) -> _Images:
    filled = [images.vectors for images in (one, other) if images.paths]
    vectors = np.concatenate(filled) if filled else one.vectors
    return _Images([*one.keys, *other.keys], [*one.paths, *other.paths], vectors)


def _thumbnail(path: str, loading: dict) -> np.ndarray | None:
    try:
        return thumbnail(read_image(path, loading))
    except BrokenFileError:
        return None


def _repeated(images: _Images, training: _Images) -> list[tuple[str, str]]:
    pairs = near_duplicates(images.vectors, training.vectors)
    return [(images.paths[place], training.paths[other]) for place, other in pairs]


def _sentence(images: _Images, training: _Images, repeated: list[tuple[str, str]], table: Path) -> str:
    these, those = (' and '.join(one.keys) for one in (images, training))
    if not repeated:
        return f'{these}: none of the {len(images.paths)} images shows the same as one of {those}.'
    file, other = repeated[0]
    return (
        f'{these}: {len(repeated)} of the {len(images.paths)} images show the same as one of {those}, such as '
        f"'{file}' and '{other}', so that results say too much of the model; leave them out of one of the two ({table} "
        'lists all).'
    )
