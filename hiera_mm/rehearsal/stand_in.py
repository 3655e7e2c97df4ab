"""Stand-in data: small generated data sets that replace the data of a config when these are missing.

They are drawn in the config's formats, with its classes, and at its paths below another folder.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from hiera_mm.checks.run import LOADERS, data_sets
from hiera_mm.config import evaluators_of
from hiera_mm.errors import require_extra
from hiera_mm.readers import tiff
from hiera_mm.readers.channels import ChannelReader, channel_reader, loading_step

import mmcv
import numpy as np
from mmengine.config import Config, ConfigDict
from PIL import Image

EVALUATOR_KEYS = ('val_evaluator', 'test_evaluator')
FILE_KEYS = ('ann_file', 'label_file', 'exclude_file', 'proposal_file', 'seg_prefix')

Artist = Callable[[ConfigDict, int, int, np.random.Generator], None]
"""``artist(dataset, classes, count, random)`` draws ``count`` samples of a data set for a model of ``classes``
classes."""


class StandInTask(Protocol):
    """The part of a task that drawing stand-in data needs."""

    def class_places(self, model: ConfigDict) -> list[tuple[str, int]]: ...
    def artist_of(self, dataset_type: type) -> Artist | None: ...


def can_stand_in(config: Config, task: StandInTask) -> bool:
    """Whether all data that a config's loaders name are missing and can be drawn."""
    for _, dataset, kind in _datasets(config):
        if any(path.exists() for path in _paths(dataset)) or (kind is not None and task.artist_of(kind) is None):
            return False
    return True


def draw(config: Config, task: StandInTask, folder: Path) -> None:
    """Draw data for all loaders below ``folder``, and set the paths of loaders and evaluators to it."""
    drawn: set[str] = set()
    classes = next((number for _, number in task.class_places(config.model)), 1)
    for loader, dataset, kind in _datasets(config):
        _move(dataset, folder)
        # Training and validation volumes may be listed in one file.
        place = str([*map(str, _paths(dataset)), dataset.get('data_list_key')])
        draw_set = task.artist_of(kind) if kind else None
        if place not in drawn and draw_set is not None:
            batch = config[loader].get('batch_size', 1)
            # A full batch and a smaller last one.
            draw_set(dataset, classes, batch + max(1, batch // 2), np.random.default_rng(len(drawn)))
        drawn.add(place)
    for key in EVALUATOR_KEYS:
        for evaluator in evaluators_of(config, key):
            _move(evaluator, folder)


def _datasets(config: Config) -> Iterator[tuple[str, ConfigDict, type | None]]:
    for loader in LOADERS:
        for _, dataset, kind in data_sets(config, loader):
            yield loader, dataset, kind


def _paths(dataset: ConfigDict) -> Iterator[Path]:
    root = dataset.get('data_root') or ''
    named = [dataset.get(key) for key in FILE_KEYS] + [*dataset.get('data_prefix', {}).values()]
    yield from (Path(root, name) for name in named if name)
    if root:
        yield Path(root)


def _move(part: ConfigDict, folder: Path) -> None:
    """Move the paths of a data set or an evaluator below ``folder``."""

    def moved(path: str) -> str:
        # Loaders may share a dict, which is then moved already.
        if Path(path).is_relative_to(folder):
            return path
        inside = [step for step in Path(path).parts if step not in ('..', '/')]
        # Keep a trailing slash: some data sets concatenate folder and name.
        return str(folder.joinpath(*inside)) + ('/' if path.endswith('/') else '')

    root = part.get('data_root')
    if root:
        part.data_root = moved(root)
    names = {key: part.get(key) for key in FILE_KEYS} | {
        ('data_prefix', k): v for k, v in part.get('data_prefix', {}).items()
    }
    for key, path in names.items():
        if path and (not root or Path(path).is_absolute()):
            holder, name = (part.data_prefix, key[1]) if isinstance(key, tuple) else (part, key)
            holder[name] = moved(path)


def root_and_folder(dataset: ConfigDict, prefix_key: str) -> tuple[Path, Path]:
    """Folders of a data set's annotations and of its files; the latter is created."""
    root = Path(dataset.get('data_root') or '')
    folder = root / dataset.get('data_prefix', {}).get(prefix_key, '')
    folder.mkdir(parents=True, exist_ok=True)
    return root, folder


def file_prefix(dataset: ConfigDict) -> str:
    """Prefix for the names of a data set's files, as loaders may share a folder."""
    return Path(dataset.get('ann_file') or 'image').stem


def write_image(dataset: ConfigDict, path: Path, image: np.ndarray) -> Path:
    """Write a drawn image with the channels that the data set's pipeline loads, in as many files.

    Args:
        dataset: Its config.
        path: The name for an image of three channels.
        image: ``(H, W, 3)``, of which further channels are copies.

    Returns:
        The image's (first) file.
    """
    step = loading_step(dataset.get('pipeline'))
    reader = channel_reader(step.get('channels', 3), step.get('channel_files'))
    path.parent.mkdir(parents=True, exist_ok=True)
    if reader is None:
        mmcv.imwrite(image, str(path))
        return path
    pixels = image[..., [number % 3 for number in range(reader.count)]]
    paths = _channel_paths(reader, path)
    for file, part in zip(paths, np.split(pixels, np.cumsum(_shares(paths, reader.count))[:-1], axis=2), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        _write_channels(file, part)
    return paths[0]


def _shares(paths: list[Path], count: int) -> list[int]:
    """How many of the channels each file has: one, and the first that can hold them the rest."""
    rest = count - len(paths)
    able = [path.suffix.lower() in tiff.ENDINGS or rest <= 2 for path in paths]
    largest = able.index(True) if True in able else 0
    return [1 + rest * (place == largest) for place in range(len(paths))]


def _channel_paths(reader: ChannelReader, path: Path) -> list[Path]:
    if not reader.files:
        return [path.with_suffix('.png' if reader.count in (1, 2, 4) else '.tif')]
    before, after = reader.files[0].split('*')
    *folders, prefix = before.split('/')
    # A pattern's folder may be the last one of the data set's.
    parent = path.parent if path.parent.parts[-len(folders) :] == tuple(folders) else path.parent.joinpath(*folders)
    return [Path(file) for file in reader.paths_of(parent / f'{prefix}{path.stem}{after}')]


def _write_channels(path: Path, pixels: np.ndarray) -> None:
    grey = pixels.shape[2] == 1
    if path.suffix.lower() in tiff.ENDINGS:
        require_extra('tifffile', 'tiff')
        import tifffile

        if grey:
            tifffile.imwrite(path, pixels[..., 0], photometric='minisblack')
        else:
            tifffile.imwrite(path, pixels, photometric='minisblack', planarconfig='contig')
    else:
        Image.fromarray(pixels[..., 0] if grey else pixels).save(path)


def write_file(path: Path, content: str | bytes | dict) -> None:
    """Write text, bytes, or anything else as JSON; creates the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
